/** stat(2) and what changes it: mode, owner, times. Also statfs(2). */
import { type BigIntStats, constants } from 'node:fs';
import { chmod, chown, readFile, rename, stat, statfs, truncate, utimes, writeFile } from 'node:fs/promises';
import type { Assertions } from 'brittle';
import { syscalls, type TimeArgument } from '../helpers/syscalls.js';
import { until } from '../helpers/until.js';
import type { Checks } from './features.js';
import { newFile, newPath, openFile, pattern, readAt, refused, writeAt } from './support.js';

/** Does it until the time has moved on: clocks of files tick slowly. */
async function moves(
  t: Assertions,
  path: string,
  which: 'ctimeNs' | 'mtimeNs',
  what: string,
  operation: () => Promise<unknown>,
): Promise<BigIntStats> {
  const before = await stat(path, { bigint: true });
  const after = await until(`${what} to move ${which}`, async () => {
    await operation();
    const now = await stat(path, { bigint: true });
    return now[which] > before[which] ? now : null;
  });
  t.pass(`${what} moves ${which}`);
  return after;
}

/** In a path's times, as utimensat takes them. */
function time(seconds: number, nanoseconds: number): TimeArgument {
  return { seconds, nanoseconds };
}

export const attributeChecks: Checks = {
  async chmodSetsTheMode(directory, t) {
    const { path, file } = await newFile(t, directory);
    for (const mode of [0o600, 0o000, 0o777, 0o4755, 0o640]) {
      await chmod(path, mode);
      t.is((await stat(path)).mode, constants.S_IFREG | mode, mode.toString(8));
    }
    await file.chmod(0o604);
    t.is((await stat(path)).mode & 0o7777, 0o604, 'fchmod');
    await refused(t, chmod(newPath(t, directory), 0o600), 'ENOENT', 'of nothing');
  },

  async chownSetsTheOwner(directory, t) {
    const { path, file } = await newFile(t, directory);
    await chown(path, 1234, 5678);
    const first = await stat(path);
    t.alike([first.uid, first.gid], [1234, 5678]);
    await file.chown(4321, 4_000_000_000);
    const second = await stat(path);
    t.alike([second.uid, second.gid], [4321, 4_000_000_000], 'fchown, and an id beyond 31 bits');
  },

  async chownOfOneLeavesTheOther(directory, t) {
    const { path } = await newFile(t, directory);
    await chown(path, 1, 2);
    await chown(path, 0xffffffff, 20);
    await chown(path, 10, 0xffffffff);
    const attributes = await stat(path);
    t.alike([attributes.uid, attributes.gid], [10, 20]);
  },

  async timesCanBeSet(directory, t, features) {
    const { path } = await newFile(t, directory);
    await syscalls().call('utimens', { path, atime: time(1_000_000_000, 123456789), mtime: time(1, 987654321) });
    const attributes = await stat(path, { bigint: true });
    const granularity = BigInt(features.timeGranularity);
    const rounded = (nanoseconds: bigint) => nanoseconds - (nanoseconds % granularity);
    t.is(attributes.atimeNs, rounded(1_000_000_000_123_456_789n), 'atime');
    const mtime = features.separateTimes ? 1_987_654_321n : 1_000_000_000_123_456_789n;
    t.is(attributes.mtimeNs, rounded(mtime), 'mtime');
  },

  async oneTimeLeavesTheOther(directory, t, features) {
    const { path } = await newFile(t, directory);
    await syscalls().call('utimens', { path, atime: time(1000, 0), mtime: time(1000, 0) });
    await syscalls().call('utimens', { path, atime: 'omit', mtime: time(3000, 0) });
    const first = await stat(path);
    t.is(first.atimeMs, 1_000_000);
    t.is(first.mtimeMs, features.separateTimes ? 3_000_000 : 1_000_000);
    await syscalls().call('utimens', { path, atime: time(4000, 0), mtime: 'omit' });
    const second = await stat(path);
    t.is(second.atimeMs, features.separateTimes ? 4_000_000 : 1_000_000);
    t.is(second.mtimeMs, first.mtimeMs);
  },

  async timesCanBeSetToNow(directory, t) {
    const { path } = await newFile(t, directory);
    await utimes(path, 1, 1);
    const before = Date.now();
    await syscalls().call('utimens', { path, atime: 'now', mtime: 'now' });
    const { atimeMs, mtimeMs } = await stat(path);
    // A file's clock may lag by a tick of the kernel's.
    t.ok(atimeMs >= before - 20 && atimeMs <= Date.now() + 1, 'atime');
    t.ok(mtimeMs >= before - 20 && mtimeMs <= Date.now() + 1, 'mtime');
  },

  async timesBeyond32Bits(directory, t) {
    const { path } = await newFile(t, directory);
    const seconds = 5_000_000_000;
    await syscalls().call('utimens', { path, atime: time(seconds, 0), mtime: time(seconds, 0) });
    t.is((await stat(path)).mtimeMs, seconds * 1000);
  },

  async writeMovesTheTimes(directory, t) {
    const { path, file } = await newFile(t, directory);
    await moves(t, path, 'mtimeNs', 'write', () => writeAt(file, 0, Buffer.from('x')));
    await moves(t, path, 'ctimeNs', 'write', () => writeAt(file, 0, Buffer.from('x')));
    await moves(t, path, 'mtimeNs', 'growing', async () => truncate(path, (await stat(path)).size + 1));
    await moves(t, path, 'ctimeNs', 'shrinking', async () => truncate(path, (await stat(path)).size - 1));
    await moves(t, path, 'mtimeNs', 'O_TRUNC', async () => {
      await writeAt(file, 0, Buffer.from('x'));
      await (await openFile(t, path, 'w')).close();
    });
  },

  async changesMoveOnlyTheChangeTime(directory, t) {
    const { path } = await newFile(t, directory);
    await writeFile(path, 'x');
    const { mtimeNs } = await stat(path, { bigint: true });
    await moves(t, path, 'ctimeNs', 'chmod', () => chmod(path, 0o600));
    await moves(t, path, 'ctimeNs', 'chown', () => chown(path, 1, 1));
    t.is((await stat(path, { bigint: true })).mtimeNs, mtimeNs, 'mtime stays');
    await moves(t, path, 'ctimeNs', 'utimens', () => utimes(path, 5, 5));
    t.is((await stat(path)).mtimeMs, 5000);
  },

  async readingMovesNoTime(directory, t) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(5000, 1));
    const before = await stat(path, { bigint: true });
    await readAt(file, 0, 5000);
    await readFile(path);
    const after = await stat(path, { bigint: true });
    t.is(after.mtimeNs, before.mtimeNs);
    t.is(after.ctimeNs, before.ctimeNs);
  },

  async fieldsAgree(directory, t) {
    const { path, file } = await newFile(t, directory);
    await writeAt(file, 0, pattern(12_345, 1));
    await file.sync();
    const other = newPath(t, directory);
    await rename(path, other);
    const byName = await stat(other, { bigint: true });
    const byHandle = await file.stat({ bigint: true });
    for (const field of [
      'ino',
      'dev',
      'mode',
      'nlink',
      'uid',
      'gid',
      'size',
      'blocks',
      'mtimeNs',
      'ctimeNs',
    ] as const) {
      t.is(byName[field], byHandle[field], field);
    }
    t.ok(byName.isFile());
    t.ok(byName.ino > 0n);
    t.ok(byName.blocks * 512n >= 12_345n, 'st_blocks');
    t.ok((await stat(directory)).isDirectory());
  },

  async statfsIsPlausible(directory, t) {
    const values = await syscalls().call('statvfs', { path: directory });
    t.is(values.nameLengthMax, 255);
    t.ok(values.blocks > 0 && values.fragmentSize > 0, `${values.blocks} blocks of ${values.fragmentSize} bytes`);
    t.ok(values.blocksFree <= values.blocks, 'free');
    t.ok(values.blocksAvailable <= values.blocksFree, 'available');
    const { file } = await newFile(t, directory);
    t.is((await statfs(directory)).blocks, values.blocks, 'the size does not change with a file');
    t.is((await file.stat()).size, 0);
  },
};
