import { test } from 'brittle';
import { enterMachine } from './helpers/machine.js';
import { Random } from './helpers/random.js';
import { StoreRun } from './helpers/store-run.js';
import type { CutMode } from './helpers/volatile-filesystem.js';

await enterMachine();

/** Another seed can be given, and more rounds. */
const SEED = Number(process.env.SEED ?? 1);
const ROUNDS = Number(process.env.ROUNDS ?? 64);
/** Rounds that go on from one another, before the disks are made anew. */
const ROUNDS_TOGETHER = 8;
/** How a round ends; null: the process alone. */
const ENDS: readonly (CutMode | null)[] = [null, null, 'lost', 'lost', 'torn', 'torn', 'kept'];

for (let seed = SEED; seed < SEED + ROUNDS / ROUNDS_TOGETHER; seed++) {
  test(`what was flushed survives, SEED=${seed} ROUNDS=${ROUNDS_TOGETHER}`, { timeout: 120_000 }, async (t) => {
    const random = new Random(seed);
    const run = await StoreRun.start(t, seed);
    for (let round = 0; round < ROUNDS_TOGETHER; round++) await run.round(ENDS[random.below(ENDS.length)]!);
    await run.finish();
    t.pass(run.summary);
  });
}
