import { test } from 'brittle';
import { copyTarget } from '../lib/filesystem/copiers.js';

test('where a cp copies to', (t) => {
  t.is(copyTarget(['a', 'b']), 'b');
  t.is(copyTarget(['-a', '--sparse=auto', 'a', 'c', '/mnt']), '/mnt');
  t.is(copyTarget(['-t', '/mnt', 'a', 'c']), '/mnt');
  t.is(copyTarget(['a', '--target-directory=/mnt', 'c']), '/mnt');
  t.is(copyTarget(['--reflink=never', 'a', 'b']), null, 'a clone is not wanted');
  t.is(copyTarget(['--sparse=always', 'a', 'b']), null);
  t.is(copyTarget(['-t']), null);
  t.is(copyTarget([]), null);
});
