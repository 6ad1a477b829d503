import { test } from 'brittle';
import { errnoOf } from '../lib/fuse/errno.js';
import { NAME_BYTES_MAX, validateVdiName } from '../lib/vdi/name.js';

test('name: what an image may be called', (t) => {
  const names = ['a', 'vm1.img', 'ein Bär', 'a..b', 'a.', '-', '~', ' ', '🐑', 'x'.repeat(NAME_BYTES_MAX)];
  names.push('é'.repeat(127), '@', 'a\nb', '%2f', '\u{10ffff}');
  for (const name of names) {
    validateVdiName(name);
    t.pass(JSON.stringify(name).slice(0, 40));
  }
});

test('name: what it may not, and the errno of each', (t) => {
  const cases: [string, string, number][] = [
    ['', 'EINVAL', 22],
    ['.', 'EINVAL', 22],
    ['..', 'EINVAL', 22],
    ['a/b', 'EINVAL', 22],
    ['/', 'EINVAL', 22],
    ['a\0', 'EINVAL', 22],
    ['\ud800', 'EINVAL', 22],
    [Buffer.from([0x61, 0xff]).toString(), 'EINVAL', 22],
    ['x'.repeat(NAME_BYTES_MAX + 1), 'ENAMETOOLONG', 36],
    ['é'.repeat(128), 'ENAMETOOLONG', 36],
    ['.snapshots', 'EPERM', 1],
    ['.x', 'EPERM', 1],
    ['...', 'EPERM', 1],
  ];
  for (const [name, code, errno] of cases) {
    try {
      validateVdiName(name);
      t.fail(`${JSON.stringify(name)} was accepted`);
    } catch (error) {
      t.is((error as { code?: string }).code, code, (error as Error).message);
      t.is(errnoOf(error), errno);
      t.absent((error as Error).message.includes('\n'), 'one line');
    }
  }
});
