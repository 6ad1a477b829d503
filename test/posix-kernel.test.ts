/** The checks over a file system in memory, mounted by speaking the kernel's protocol. */
import { test } from 'brittle';
import { MemoryMount } from './helpers/memory-mount.js';
import { testPosix } from './posix/checks.js';
import { ALL_FEATURES } from './posix/features.js';

const mount = await MemoryMount.start('kernel');

testPosix('kernel', { ...ALL_FEATURES, flat: true, servers: [mount.pid] }, () => mount.path);

test('kernel: the server ends with the mount', async (t) => {
  t.is(await mount.takeAway(), 0);
});
