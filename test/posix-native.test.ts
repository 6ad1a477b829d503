/** The checks over a file system in memory, mounted through libfuse. */
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'brittle';
import { MemoryMount } from './helpers/memory-mount.js';
import { testPosix } from './posix/checks.js';
import { NATIVE_FEATURES } from './posix/features.js';

const mount = await MemoryMount.start('native');

testPosix('native', { ...NATIVE_FEATURES, servers: [mount.pid] }, () => mount.path);

test('native: the mount ends when it is asked to', async (t) => {
  t.ok(mount.mounted);
  t.is(await mount.stop(), 0);
  t.absent(mount.mounted);
});

test('native: the mount is taken away by somebody else', async (t) => {
  const other = await MemoryMount.start('native');
  writeFileSync(`${other.path}/file`, 'content');
  t.is(readFileSync(`${other.path}/file`, 'utf8'), 'content');
  t.is(await other.takeAway(), 0);
});
