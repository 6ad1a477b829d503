import { test } from 'brittle';
import { DaemonRun } from './helpers/daemon-run.js';
import { enterMachine } from './helpers/machine.js';
import { Random } from './helpers/random.js';
import type { CutMode } from './helpers/volatile-filesystem.js';

await enterMachine();

/** Another seed can be given, and more rounds. */
const SEED = Number(process.env.SEED ?? 1);
const ROUNDS = Number(process.env.ROUNDS ?? 8);
/** How a round ends; null: the daemon alone. */
const ENDS: readonly (CutMode | null)[] = ['lost', null, 'torn', 'kept'];
const ROUND_MS_MAX = 30_000;

const options = { timeout: (ROUNDS + 1) * ROUND_MS_MAX };

test(`what a guest flushed survives, SEED=${SEED} ROUNDS=${ROUNDS}`, options, async (t) => {
  const random = new Random(SEED);
  const run = await DaemonRun.start(t, SEED);
  for (let round = 0; round < ROUNDS; round++) {
    // Each way once, and from then on at random.
    await run.round(round < ENDS.length ? ENDS[round]! : ENDS[random.below(ENDS.length)]!);
  }
  await run.finish();
  t.pass(run.summary);
});
