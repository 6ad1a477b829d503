/** unlink(2), rename(2), and which names there can be. */
import { constants } from 'node:fs';
import {
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rmdir,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { syscalls } from '../helpers/syscalls.js';
import type { Checks } from './features.js';
import { claimPath, newFile, newPath, openFile, pattern, readAt, refused, sameBytes, writeAt } from './support.js';

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const NAME_BYTES_MAX = 255;
/** How a file system says that it has no such thing. */
const UNSUPPORTED = ['EPERM', 'ENOSYS', 'EOPNOTSUPP'];

export const nameChecks: Checks = {
  async unlinkTakesTheNameAway(directory, t) {
    const path = newPath(t, directory);
    await writeFile(path, 'x');
    await unlink(path);
    await refused(t, stat(path), 'ENOENT', 'stat afterwards');
    await refused(t, unlink(path), 'ENOENT', 'a second unlink');
    await refused(t, rmdir(path), 'ENOENT', 'rmdir of nothing');
    await writeFile(path, 'a new one');
    t.is(await readFile(path, 'utf8'), 'a new one');
    await refused(t, rmdir(path), 'ENOTDIR', 'rmdir of a file');
    await refused(t, unlink(directory), ['EISDIR', 'EPERM', 'EBUSY'], 'unlink of a directory');
  },

  async unlinkedFileLivesWhileOpen(directory, t) {
    const { path, file } = await newFile(t, directory);
    const before = await readdir(directory);
    await writeAt(file, 0, pattern(10_000, 1));
    await unlink(path);
    t.is((await file.stat()).nlink, 0);
    t.is((await file.stat()).size, 10_000);
    t.alike(
      (await readdir(directory)).sort(),
      before.filter((name) => !path.endsWith(`/${name}`)).sort(),
      'no other name stands in for it',
    );
    sameBytes(t, await readAt(file, 0, 10_000), pattern(10_000, 1), 'still read');
    await writeAt(file, 9_000, pattern(2_000, 2));
    sameBytes(t, await readAt(file, 9_000, 3_000), pattern(2_000, 2), 'still written');
    await file.truncate(500);
    t.is((await file.stat()).size, 500, 'still cut');
    await file.chmod(0o600);
    t.is((await file.stat()).mode & 0o777, 0o600, 'still given a mode');
    await file.sync();
    await writeFile(path, 'another file of that name');
    t.is((await file.stat()).size, 500, 'which is not this one');
    t.not((await stat(path)).ino, (await file.stat()).ino);
  },

  async renameMovesTheFile(directory, t) {
    const source = newPath(t, directory);
    const target = newPath(t, directory);
    await writeFile(source, 'moved');
    const { ino } = await stat(source);
    await rename(source, target);
    await refused(t, stat(source), 'ENOENT', 'the old name');
    t.is(await readFile(target, 'utf8'), 'moved');
    t.is((await stat(target)).ino, ino);
    await refused(t, rename(source, target), 'ENOENT', 'a rename of nothing');
    t.is(await readFile(target, 'utf8'), 'moved');
    await rename(target, target);
    t.is(await readFile(target, 'utf8'), 'moved', 'onto itself does nothing');
  },

  async renameFollowsTheOpenFile(directory, t) {
    const { path, file } = await newFile(t, directory);
    const target = newPath(t, directory);
    await writeAt(file, 0, Buffer.from('one'));
    await rename(path, target);
    await writeAt(file, 3, Buffer.from(' two'));
    t.is(await readFile(target, 'utf8'), 'one two');
    await writeFile(path, 'a new one');
    t.is((await readAt(file, 0, 100)).toString(), 'one two');
  },

  async renameReplacesTheTarget(directory, t) {
    const source = newPath(t, directory);
    const target = newPath(t, directory);
    await writeFile(source, 'new');
    await writeFile(target, 'old and longer');
    await rename(source, target);
    t.is(await readFile(target, 'utf8'), 'new');
    await refused(t, stat(source), 'ENOENT', 'the old name');
  },

  async renameReplacesAnOpenTarget(directory, t) {
    const { path: source, file: sourceFile } = await newFile(t, directory);
    const { path: target, file: targetFile } = await newFile(t, directory);
    await writeAt(sourceFile, 0, Buffer.from('new'));
    await writeAt(targetFile, 0, Buffer.from('old and longer'));
    const before = (await readdir(directory)).length;
    await rename(source, target);
    t.is((await readdir(directory)).length, before - 1, 'one name less');
    t.is(await readFile(target, 'utf8'), 'new');
    t.is((await readAt(targetFile, 0, 100)).toString(), 'old and longer', 'the old file lives while open');
    t.is((await targetFile.stat()).nlink, 0);
    await writeAt(sourceFile, 3, Buffer.from('er'));
    t.is(await readFile(target, 'utf8'), 'newer');
  },

  async renameNoReplace(directory, t, features) {
    const source = newPath(t, directory);
    const target = newPath(t, directory);
    await writeFile(source, 'source');
    await writeFile(target, 'target');
    const call = (from: string, to: string) =>
      syscalls().call('rename', { source: from, target: to, flags: RENAME_NOREPLACE });
    // The VFS itself finds that the target exists, before it looks at the flags.
    await refused(t, call(source, target), 'EEXIST', 'over a file');
    t.is(await readFile(target, 'utf8'), 'target');
    const free = newPath(t, directory);
    if (!features.renameFlags) return refused(t, call(source, free), 'EINVAL', 'to a free name');
    await call(source, free);
    t.is(await readFile(free, 'utf8'), 'source');
  },

  async renameExchange(directory, t, features) {
    const first = newPath(t, directory);
    const second = newPath(t, directory);
    await writeFile(first, 'first');
    await writeFile(second, 'second');
    const call = (target: string) => syscalls().call('rename', { source: first, target, flags: RENAME_EXCHANGE });
    if (!features.renameFlags) return refused(t, call(second), 'EINVAL', 'exchange');
    await call(second);
    t.is(await readFile(first, 'utf8'), 'second');
    t.is(await readFile(second, 'utf8'), 'first');
    await refused(t, call(newPath(t, directory)), 'ENOENT', 'with nothing');
    await refused(
      t,
      syscalls().call('rename', { source: first, target: second, flags: RENAME_EXCHANGE | RENAME_NOREPLACE }),
      'EINVAL',
      'both flags',
    );
  },

  async nameLengths(directory, t) {
    const longest = claimPath(t, directory, 'n'.repeat(NAME_BYTES_MAX));
    await writeFile(longest, 'x');
    t.ok((await readdir(directory)).includes('n'.repeat(NAME_BYTES_MAX)));
    const tooLong = `${directory}/${'n'.repeat(NAME_BYTES_MAX + 1)}`;
    await refused(t, writeFile(tooLong, 'x'), 'ENAMETOOLONG', '256 bytes');
    await refused(t, stat(tooLong), 'ENAMETOOLONG', 'stat of 256 bytes');
    await refused(t, rename(longest, tooLong), 'ENAMETOOLONG', 'rename to 256 bytes');
    // It is bytes that count.
    const wide = `${directory}/${'ü'.repeat(NAME_BYTES_MAX / 2 + 1)}`;
    await refused(t, writeFile(wide, 'x'), 'ENAMETOOLONG', '128 characters of two bytes');
    t.is(await readFile(longest, 'utf8'), 'x');
  },

  async unusualNames(directory, t) {
    const names = [
      'with blank',
      'tab\there',
      'grün-映像',
      '-rf',
      'a.b.c',
      '%41',
      'quote\'"',
      'back\\slash',
      'new\nline',
    ];
    for (const name of names) await writeFile(claimPath(t, directory, name), name);
    const listed = new Set(await readdir(directory));
    t.ok(names.every((name) => listed.has(name)));
    for (const name of names) t.is(await readFile(`${directory}/${name}`, 'utf8'), name);
  },

  async namesDifferByCase(directory, t) {
    await writeFile(claimPath(t, directory, 'Case'), 'upper');
    await writeFile(claimPath(t, directory, 'case'), 'lower');
    t.is(await readFile(`${directory}/Case`, 'utf8'), 'upper');
  },

  async leadingDots(directory, t, features) {
    const path = claimPath(t, directory, '.hidden');
    const visible = newPath(t, directory);
    await writeFile(visible, 'x');
    if (!features.flat) {
      await writeFile(path, 'x');
      t.ok((await readdir(directory)).includes('.hidden'));
      return;
    }
    await refused(t, writeFile(path, 'x'), 'EPERM', 'create');
    await refused(t, rename(visible, path), 'EPERM', 'rename');
    t.is(await readFile(visible, 'utf8'), 'x');
  },

  async directories(directory, t, features) {
    const path = newPath(t, directory, 'directory');
    if (features.flat) return refused(t, mkdir(path), 'EPERM', 'mkdir');
    await mkdir(path);
    await rmdir(path);
    await refused(t, stat(path), 'ENOENT', 'the removed directory');
  },

  async linksAndSpecialFiles(directory, t, features) {
    const path = newPath(t, directory);
    const other = newPath(t, directory);
    await writeFile(path, 'x');
    const mkfifo = () => syscalls().call('mkfifo', { path: newPath(t, directory) });
    if (features.flat) {
      await refused(t, symlink('target', other), UNSUPPORTED, 'symlink');
      await refused(t, link(path, other), UNSUPPORTED, 'link');
      await refused(t, mkfifo(), UNSUPPORTED, 'mkfifo');
      await refused(t, stat(other), 'ENOENT', 'and nothing was made');
    } else {
      await mkfifo();
      await symlink(path, other);
      t.is(await readFile(other, 'utf8'), 'x');
    }
    const exists = newPath(t, directory);
    await (await open(exists, 'w')).close();
    await refused(t, mkdir(exists), 'EEXIST', 'mkdir over a file');
  },

  async renameOfTheDirectoryItself(directory, t) {
    const path = newPath(t, directory);
    const file = await openFile(t, path, constants.O_CREAT | constants.O_RDWR);
    await refused(t, rename(path, directory), ['EISDIR', 'ENOTEMPTY', 'EBUSY', 'EXDEV'], 'a file over the directory');
    t.is((await file.stat()).nlink, 1);
  },
};
