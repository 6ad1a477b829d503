/** Random operations from a seed on a local file system, and on one in memory through both backends. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { temporaryDirectory } from './helpers/cleanup.js';
import { FsxError, runFsx } from './helpers/fsx.js';
import { MemoryMount } from './helpers/memory-mount.js';
import { ALL_FEATURES, type Features, NATIVE_FEATURES } from './posix/features.js';

const OPERATIONS = Number(process.env.FSX_OPERATIONS ?? 20_000);
const SEED = Number(process.env.FSX_SEED ?? 1);
const DEADLINE_MS = 60_000 + OPERATIONS;

async function exercise(t: Assertions, directory: string, features: Features): Promise<void> {
  const path = join(directory, 'fsx');
  t.teardown(() => rmSync(path, { force: true }), { force: true });
  const { operations, elapsedMs, content, counts } = await runFsx({
    path,
    seed: SEED,
    operations: OPERATIONS,
    features,
  });
  t.comment(`seed ${SEED}: ${Math.round((operations / elapsedMs) * 1000)} operations/s ${JSON.stringify(counts)}`);
  t.ok(readFileSync(path).equals(content), 'the file holds what the model does');
}

test('fsx on a local file system', { timeout: DEADLINE_MS }, async (t) => {
  await exercise(t, await temporaryDirectory(t), ALL_FEATURES);
});

for (const [backend, features] of [
  ['kernel', ALL_FEATURES],
  ['native', NATIVE_FEATURES],
] as const) {
  test(`fsx through the ${backend} backend`, { timeout: DEADLINE_MS }, async (t) => {
    const mount = await MemoryMount.start(backend);
    t.teardown(() => mount.takeAway(), { force: true });
    await exercise(t, mount.path, { ...features, flat: true });
  });
}

test('fsx notices a byte that changed', async (t) => {
  const path = join(await temporaryDirectory(t), 'fsx');
  const run = runFsx({ path, seed: SEED, operations: 1_000_000, sizeMax: 100_000, features: ALL_FEATURES });
  // Between two breaths of the run, somebody else writes.
  const damage = setInterval(() => writeFileSync(path, 'damage', { flag: 'r+' }), 1);
  t.teardown(() => clearInterval(damage), { force: true });
  const error = await run.then(
    () => null,
    (reason: unknown) => reason,
  );
  t.ok(error instanceof FsxError);
  t.ok(String(error).includes(`seed ${SEED}`), 'and names the seed');
});
