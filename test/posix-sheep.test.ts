/** The checks over the daemon itself, through both backends. */
import { chmod } from 'node:fs/promises';
import { dirname } from 'node:path';
import { test } from 'brittle';
import { Scope } from './helpers/scope.js';
import { startSheep } from './helpers/sheep.js';
import { testPosix } from './posix/checks.js';
import { ALL_FEATURES, NATIVE_FEATURES } from './posix/features.js';

for (const [fuse, features] of [
  ['kernel', { ...ALL_FEATURES, flat: true }],
  ['native', NATIVE_FEATURES],
] as const) {
  const scope = new Scope();
  const sheep = await startSheep(scope, { fuse });
  // Some checks act as another user, who has to get there.
  await chmod(dirname(sheep.mount), 0o755);
  testPosix(`sheep, ${fuse}`, { ...features, servers: [await sheep.workerPid()] }, () => sheep.mount);

  test(`sheep, ${fuse}: it ends well and has met no defect`, async (t) => {
    t.is((await sheep.stop()).status, 0);
    t.alike(
      sheep.lines.filter((line) => /defect|error|worker/i.test(line)),
      [],
    );
    await scope.end();
  });
}
