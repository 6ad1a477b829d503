/** open(2): creation, flags, access, and descriptors. */
import { constants, readdirSync } from 'node:fs';
import { chmod, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { syscalls } from '../helpers/syscalls.js';
import { until } from '../helpers/until.js';
import type { Checks } from './features.js';
import { newFile, newPath, openFile, pattern, readAt, refused, sameBytes, writeAt } from './support.js';

const { O_CREAT, O_EXCL, O_RDWR, O_RDONLY, O_WRONLY, O_TRUNC, O_APPEND, O_DIRECTORY } = constants;
const NOBODY = 65534;
const OTHER_GROUP = 4321;

export const openChecks: Checks = {
  async createMakesAnEmptyFile(directory, t) {
    const path = newPath(t, directory);
    const file = await openFile(t, path, O_CREAT | O_RDWR, 0o640);
    const attributes = await file.stat();
    t.ok(attributes.isFile());
    t.is(attributes.size, 0);
    t.is(attributes.nlink, 1);
    t.is((await stat(path)).ino, attributes.ino, 'the name leads to the open file');
  },

  async createAppliesTheUmask(directory, t) {
    const before = await syscalls().call('umask', { mask: 0o027 });
    try {
      const path = newPath(t, directory);
      const fd = await syscalls().call('open', { path, flags: O_CREAT | O_WRONLY, mode: 0o666 });
      await syscalls().call('close', { fd });
      t.is((await stat(path)).mode & 0o7777, 0o640);
    } finally {
      await syscalls().call('umask', { mask: before });
    }
  },

  async createBelongsToItsMaker(directory, t, features) {
    const path = newPath(t, directory);
    await syscalls().call('as_user', {
      uid: 0,
      gid: OTHER_GROUP,
      call: 'open',
      arguments: { path, flags: O_CREAT | O_WRONLY },
    });
    const attributes = await stat(path);
    t.is(attributes.uid, 0);
    t.is(attributes.gid, features.owners ? OTHER_GROUP : 0);
  },

  async createWithoutWritePermissionCanStillBeWritten(directory, t) {
    const path = newPath(t, directory);
    const file = await openFile(t, path, O_CREAT | O_RDWR, 0o400);
    await writeAt(file, 0, Buffer.from('mode counts from the next open on'));
    t.is((await file.stat()).mode & 0o7777, 0o400);
    t.is(await readFile(path, 'utf8'), 'mode counts from the next open on');
  },

  async exclusiveCreate(directory, t) {
    const path = newPath(t, directory);
    await openFile(t, path, O_CREAT | O_EXCL | O_RDWR);
    await refused(t, open(path, O_CREAT | O_EXCL | O_RDWR), 'EEXIST', 'a second O_EXCL');
    await openFile(t, path, O_CREAT | O_RDWR);
    t.pass('O_CREAT alone opens what is there');
  },

  async exclusiveCreateHasOneWinner(directory, t) {
    const path = newPath(t, directory);
    const attempts = await Promise.allSettled(
      Array.from({ length: 16 }, () => openFile(t, path, O_CREAT | O_EXCL | O_RDWR)),
    );
    t.is(attempts.filter(({ status }) => status === 'fulfilled').length, 1);
  },

  async openOfNothing(directory, t) {
    const path = newPath(t, directory);
    await refused(t, open(path, O_RDONLY), 'ENOENT', 'reading');
    await refused(t, open(path, O_RDWR), 'ENOENT', 'writing');
    await refused(t, stat(path), 'ENOENT', 'stat');
  },

  async openWithTheWrongType(directory, t) {
    const { path } = await newFile(t, directory);
    await refused(t, open(path, O_RDONLY | O_DIRECTORY), 'ENOTDIR', 'a file as a directory');
    await refused(t, open(`${path}/below`, O_RDONLY), 'ENOTDIR', 'a name below a file');
    await refused(t, open(directory, O_RDWR), 'EISDIR', 'a directory for writing');
  },

  async truncateAtOpen(directory, t) {
    const path = newPath(t, directory);
    await writeFile(path, pattern(10_000, 1));
    const file = await openFile(t, path, O_RDWR | O_TRUNC);
    t.is((await file.stat()).size, 0);
    await writeAt(file, 0, Buffer.from('new'));
    await openFile(t, path, O_WRONLY | O_CREAT | O_TRUNC);
    t.is((await file.stat()).size, 0, 'seen by the file that was open');
  },

  async appendGoesToTheEnd(directory, t) {
    const path = newPath(t, directory);
    await writeFile(path, 'a');
    const first = await openFile(t, path, O_WRONLY | O_APPEND);
    const second = await openFile(t, path, O_WRONLY | O_APPEND);
    await first.write(Buffer.from('bb'));
    await second.write(Buffer.from('ccc'));
    // Linux appends whatever the position says.
    await first.write(Buffer.from('d'), 0, 1, 0);
    t.is(await readFile(path, 'utf8'), 'abbcccd');
    const plain = await openFile(t, path, O_RDWR);
    await plain.truncate(2);
    await second.write(Buffer.from('e'));
    t.is(await readFile(path, 'utf8'), 'abe', 'the end moves with a truncation');
  },

  async accessModeIsKept(directory, t) {
    const path = newPath(t, directory);
    await writeFile(path, 'content');
    const reader = await openFile(t, path, O_RDONLY);
    await refused(t, reader.write(Buffer.from('x'), 0, 1, 0), 'EBADF', 'write to a reader');
    await refused(t, reader.truncate(0), 'EINVAL', 'ftruncate of a reader');
    const writer = await openFile(t, path, O_WRONLY);
    await refused(t, writer.read(Buffer.alloc(1), 0, 1, 0), 'EBADF', 'read from a writer');
    t.is(await readFile(path, 'utf8'), 'content');
  },

  async permissionsAreChecked(directory, t) {
    const path = newPath(t, directory);
    await writeFile(path, 'secret');
    const before = (await stat(directory)).mode & 0o7777;
    if ((before & 0o001) === 0) {
      await chmod(directory, before | 0o011);
      t.teardown(() => chmod(directory, before), { force: true });
    }
    const openAsNobody = (flags: number) =>
      syscalls().call('as_user', { uid: NOBODY, gid: NOBODY, call: 'open', arguments: { path, flags } });
    await chmod(path, 0o600);
    await refused(t, openAsNobody(O_RDONLY), 'EACCES', 'reading 0600');
    await chmod(path, 0o604);
    await openAsNobody(O_RDONLY);
    await refused(t, openAsNobody(O_RDWR), 'EACCES', 'writing 0604');
    await refused(
      t,
      syscalls().call('as_user', {
        uid: NOBODY,
        gid: NOBODY,
        call: 'utimens',
        arguments: { path, atime: { seconds: 1, nanoseconds: 0 }, mtime: { seconds: 1, nanoseconds: 0 } },
      }),
      'EPERM',
      'setting times of what belongs to another',
    );
  },

  async manyOpensAtOnce(directory, t) {
    const path = newPath(t, directory);
    const content = pattern(5000, 7);
    await writeFile(path, content);
    const contents = await Promise.all(
      Array.from({ length: 64 }, async () => {
        const file = await openFile(t, path, O_RDONLY);
        const bytes = await readAt(file, 0, content.length);
        await file.close();
        return bytes;
      }),
    );
    t.ok(contents.every((bytes) => bytes.equals(content)));
    sameBytes(t, await readFile(path), content, 'and afterwards');
  },

  async noDescriptorIsLeaked(directory, t, features) {
    const rounds = 200;
    const path = newPath(t, directory);
    const servers = features.servers ?? [process.pid];
    const descriptors = () => servers.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
    // Whatever is opened once and kept is open before counting.
    await writeFile(path, pattern(4096, 1));
    const before = descriptors();
    for (let round = 0; round < rounds; round++) {
      await writeFile(path, pattern(4096, round));
      await readFile(path);
      await rm(path);
      await refused(t, open(path, O_RDONLY), 'ENOENT', `round ${round}`);
    }
    // release follows close(2) at the kernel's leisure; caches may hold some.
    await until('descriptors to be closed', () => descriptors() < before + rounds / 4);
    t.pass(`${before} descriptors before, ${descriptors()} after`);
  },
};
