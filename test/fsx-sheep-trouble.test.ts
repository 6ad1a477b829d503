/**
 * Random operations from a seed over the daemon itself: on clones, while data moves between disks, while the worker is
 * killed, and through libfuse.
 */
import { join } from 'node:path';
import { test } from 'brittle';
import { temporaryDirectory } from './helpers/cleanup.js';
import { checksum, writeRandom } from './helpers/file-content.js';
import { DEADLINE_MS, endsWell, exercise, SEED, startOnTwoDisks } from './helpers/fsx-sheep.js';
import { must } from './helpers/run.js';
import { runDog } from './helpers/sheep.js';
import { sleep } from './helpers/until.js';

const TEST = { timeout: DEADLINE_MS };
const KILL_INTERVAL_MS = 1500;
const MIB = 1024 * 1024;

/** Does it again and again until the promise has settled. */
async function meanwhile(until: Promise<unknown>, work: () => Promise<void>): Promise<void> {
  let settled = false;
  const end = () => {
    settled = true;
  };
  until.then(end, end);
  while (!settled) await work();
  await until;
}

test('fsx on two clones of an image, which stays as it is', TEST, async (t) => {
  const sheep = await startOnTwoDisks(t, 'kernel');
  const golden = join(sheep.mount, 'golden');
  await writeRandom(golden, 15 * MIB + 777);
  const sum = await checksum(golden);
  const names = ['clone-1', 'clone-2'];
  for (const name of names) {
    await must('cp', [golden, join(sheep.mount, name)]);
    t.is(await checksum(join(sheep.mount, name)), sum);
  }
  await Promise.all(names.map((name, at) => exercise(t, sheep, { name, seed: SEED + 10 + at, operations: 50_000 })));
  t.is(await checksum(golden), sum, 'the image that was cloned');
  await endsWell(t, sheep);
});

test('fsx while disks come and go', TEST, async (t) => {
  const sheep = await startOnTwoDisks(t, 'kernel');
  const base = await temporaryDirectory(t);
  let rounds = 0;
  const run = exercise(t, sheep, { name: 'moving', seed: SEED + 20, operations: 40_000 });
  await meanwhile(run, async () => {
    const disk = join(base, `disk-${rounds}`);
    await must('mkdir', [disk]);
    for (const command of ['add', 'remove']) {
      const { status, stderr } = await runDog(sheep, ['disk', command, disk], { deadlineMs: DEADLINE_MS });
      if (status !== 0) throw new Error(`disk ${command}: ${stderr}`);
    }
    rounds++;
  });
  t.ok(rounds > 0, `${rounds} disks came and went`);
  await endsWell(t, sheep);
});

test('fsx while the worker is killed again and again', TEST, async (t) => {
  const sheep = await startOnTwoDisks(t, 'kernel');
  const names = ['killed-1', 'killed-2'];
  const run = Promise.all(
    names.map((name, at) => exercise(t, sheep, { name, seed: SEED + 30 + at, operations: 20_000 })),
  );
  let kills = 0;
  await meanwhile(run, async () => {
    await sleep(KILL_INTERVAL_MS);
    const from = sheep.lines.length;
    await sheep.killWorker();
    kills++;
    await sheep.waitFor(/ready again/, { from });
  });
  t.ok(kills > 0, `${kills} kills`);
  await endsWell(t, sheep);
});

test('fsx through libfuse', TEST, async (t) => {
  const sheep = await startOnTwoDisks(t, 'native');
  await exercise(t, sheep, { name: 'native', seed: SEED + 40, operations: 20_000, fuse: 'native' });
  await endsWell(t, sheep);
});
