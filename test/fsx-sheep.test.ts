/**
 * Random operations from a seed over the daemon itself: a million of them, on several files at once, on a clone, while
 * data moves between disks, and while its worker is killed. The variables FSX_SHARE (a fraction of the operations) and
 * FSX_SEED make other runs of it.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Assertions, test } from 'brittle';
import { temporaryDirectory } from './helpers/cleanup.js';
import { checksum, writeRandom } from './helpers/file-content.js';
import { must } from './helpers/run.js';
import { runDog, type Sheep, startSheep } from './helpers/sheep.js';
import { sleep } from './helpers/until.js';

const PROGRAM = fileURLToPath(new URL('./helpers/fsx-process.js', import.meta.url));
const SHARE = Number(process.env.FSX_SHARE ?? 1);
const SEED = Number(process.env.FSX_SEED ?? 1);
/** The machine may have other things to do. */
const DEADLINE_MS = 30 * 60_000;
const TEST = { timeout: DEADLINE_MS };
const KILL_INTERVAL_MS = 1500;
const MIB = 1024 * 1024;

async function start(t: Assertions, fuse: 'kernel' | 'native'): Promise<Sheep> {
  const base = await temporaryDirectory(t);
  return startSheep(t, { fuse, disks: [join(base, 'disk-1'), join(base, 'disk-2')] });
}

/** Runs that many operations on a file of the mount; throws with the seed and the last ones where it went wrong. */
async function exercise(
  t: Assertions,
  sheep: Sheep,
  options: { name: string; seed: number; operations: number; fuse?: 'kernel' | 'native' },
): Promise<void> {
  const { name, seed, fuse = 'kernel' } = options;
  const operations = Math.max(1, Math.round(options.operations * SHARE));
  const args = [PROGRAM, join(sheep.mount, name), String(seed), String(operations), fuse];
  const { stdout } = await must(process.execPath, args, { deadlineMs: DEADLINE_MS }).catch((error) => {
    error.message += `\nwhat the daemon said:\n${sheep.log()}`;
    throw error;
  });
  t.pass(`${name}: seed ${seed}, ${operations} operations: ${stdout.trim()}`);
}

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

async function endsWell(t: Assertions, sheep: Sheep): Promise<void> {
  t.is((await sheep.stop()).status, 0);
  const bad = sheep.lines.filter((line) => /defect|failed|EIO/i.test(line));
  t.is(bad.length, 0, `no defect ${bad.slice(0, 3).join('\n')}`);
}

test('fsx on four images at once', TEST, async (t) => {
  const sheep = await start(t, 'kernel');
  const names = ['one', 'two', 'three', 'four'];
  await Promise.all(names.map((name, at) => exercise(t, sheep, { name, seed: SEED + at, operations: 225_000 })));
  await endsWell(t, sheep);
});

test('fsx on two clones of an image, which stays as it is', TEST, async (t) => {
  const sheep = await start(t, 'kernel');
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
  const sheep = await start(t, 'kernel');
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
  const sheep = await start(t, 'kernel');
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
  const sheep = await start(t, 'native');
  await exercise(t, sheep, { name: 'native', seed: SEED + 40, operations: 20_000, fuse: 'native' });
  await endsWell(t, sheep);
});
