/** Extended attributes of the user namespace. */
import { stat, writeFile } from 'node:fs/promises';
import { decode, encode, syscalls } from '../helpers/syscalls.js';
import type { Checks } from './features.js';
import { newPath, pattern, refused, sameBytes } from './support.js';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const NAME = 'user.check';

export const xattrChecks: Checks = {
  async attributesAreSetAndRead(directory, t, features) {
    const path = newPath(t, directory);
    await writeFile(path, 'x');
    const value = pattern(1000, 1);
    const set = syscalls().call('setxattr', { path, name: NAME, value: encode(value) });
    if (!features.xattrs) return refused(t, set, 'EOPNOTSUPP', 'setxattr');
    await set;
    sameBytes(t, decode(String(await syscalls().call('getxattr', { path, name: NAME }))), value, 'getxattr');
    t.ok((await syscalls().call('listxattr', { path })).includes(NAME), 'listed');
    await syscalls().call('setxattr', { path, name: NAME, value: encode(Buffer.from('short')) });
    t.is(decode(String(await syscalls().call('getxattr', { path, name: NAME }))).toString(), 'short');
    await syscalls().call('setxattr', { path, name: NAME, value: '' });
    t.is(await syscalls().call('getxattr', { path, name: NAME }), '', 'an empty value');
    await syscalls().call('removexattr', { path, name: NAME });
    t.absent((await syscalls().call('listxattr', { path })).includes(NAME), 'gone');
    await refused(t, syscalls().call('removexattr', { path, name: NAME }), 'ENODATA', 'a second removal');
  },

  async attributesThatAreNotThere(directory, t) {
    const path = newPath(t, directory);
    await refused(t, syscalls().call('getxattr', { path, name: NAME }), 'ENOENT', 'of no file');
    await writeFile(path, 'x');
    await refused(t, syscalls().call('getxattr', { path, name: NAME }), ['ENODATA', 'EOPNOTSUPP'], 'of a file');
  },

  async createAndReplace(directory, t, features) {
    const path = newPath(t, directory);
    await writeFile(path, 'x');
    const set = (value: string, flags: number) =>
      syscalls().call('setxattr', { path, name: NAME, value: encode(Buffer.from(value)), flags });
    if (!features.xattrs) return refused(t, set('a', XATTR_CREATE), 'EOPNOTSUPP', 'setxattr');
    await refused(t, set('a', XATTR_REPLACE), 'ENODATA', 'replacing nothing');
    await set('b', XATTR_CREATE);
    await refused(t, set('c', XATTR_CREATE), 'EEXIST', 'making it twice');
    await set('d', XATTR_REPLACE);
    t.is(decode(String(await syscalls().call('getxattr', { path, name: NAME }))).toString(), 'd');
  },

  async sizesAreToldAndChecked(directory, t, features) {
    const path = newPath(t, directory);
    await writeFile(path, 'x');
    if (!features.xattrs) {
      const list = await syscalls().call('listxattr', { path });
      return void t.absent(list.includes(NAME));
    }
    const before = await stat(path);
    await syscalls().call('setxattr', { path, name: NAME, value: encode(pattern(100, 2)) });
    t.is(await syscalls().call('getxattr', { path, name: NAME, size: 0 }), 100, 'asked with no buffer');
    await refused(t, syscalls().call('getxattr', { path, name: NAME, size: 99 }), 'ERANGE', 'too small a buffer');
    sameBytes(
      t,
      decode(String(await syscalls().call('getxattr', { path, name: NAME, size: 100 }))),
      pattern(100, 2),
      'one that fits',
    );
    t.is((await stat(path)).size, before.size);
  },
};
