import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Assertions, test } from 'brittle';
import { DEFAULT_KINDS, simulate } from './simulation/run.js';
import type { SeedJob } from './simulation/seed-job.js';
import { SeedPool } from './simulation/seed-pool.js';

const BUILD = fileURLToPath(new URL('..', import.meta.url));
/**
 * The same each time, unless others are asked for: of fresh ones about one in some hundreds still fails, and that is to be
 * looked at, not met by chance. `SEED=$(date +%s) SEEDS=200 npm test -- simulation-runs` runs fresh ones.
 */
const FIRST = Number(process.env.SEED ?? 3000) % 2 ** 31;
const SEEDS = Number(process.env.SEEDS ?? 60);
/** Of a host alone, which has less to go wrong. */
const SEEDS_ALONE = Math.ceil(SEEDS / 20);
const STEPS = 2000;
/** Of real time, after which no more seeds are begun: a busy machine does not fail for that. */
const SECONDS = 240;
/** Of one run, in real time; many times what it takes. */
const SEED_SECONDS = 60;
const TIMEOUT_MS = (SECONDS + 4 * SEED_SECONDS) * 1000;

test('a simulated host alone keeps its promises', { timeout: TIMEOUT_MS }, async (t) => {
  await run(t, SEEDS_ALONE, () => 1);
});

test('simulated clusters keep their promises', { timeout: TIMEOUT_MS }, async (t) => {
  await run(t, SEEDS, (seed) => 3 + (seed % 3));
});

async function run(t: Assertions, count: number, hostsOf: (seed: number) => number): Promise<void> {
  const pool = new SeedPool({ directory: BUILD, jobs: availableParallelism() });
  const startedMs = performance.now();
  const jobs = Array.from({ length: count }, (_, number): SeedJob => {
    const seed = FIRST + number;
    return {
      ...{ seed, steps: STEPS, hosts: hostsOf(seed), kinds: DEFAULT_KINDS, roughness: 1, forgiveLosses: false },
      ...{ messages: false, print: false, seconds: SEED_SECONDS, traceLines: 60 },
    };
  });
  let clean = 0;
  await pool.run(jobs, ({ seed, complaint, trace }) => {
    if (complaint === null) clean++;
    for (const line of trace) t.comment(line);
    if (complaint !== null) {
      t.fail(`${complaint}; npm run simulate -- --seed ${seed} --steps ${STEPS} --hosts ${hostsOf(seed)}`);
    }
    return complaint === null && performance.now() - startedMs < SECONDS * 1000;
  });
  pool.close();
  t.ok(clean > 0, `${clean} seeds from ${FIRST} on are clean`);
}

test('a seed does the same again, and so does its plan', { timeout: SEED_SECONDS * 1000 * 3 }, async (t) => {
  const trace = async (plan?: string) => {
    const lines: string[] = [];
    const options = { seed: FIRST, steps: 500, hosts: 3, roughness: 3, messages: true };
    const outcome = await simulate({
      ...(plan === undefined ? options : { seed: 0, steps: 0, hosts: 0, messages: true, plan: JSON.parse(plan) }),
      // Faults that turn out to be impossible are no part of a plan.
      print: (line) => !/^ *[\d.]+ {2}fault /.test(line) && lines.push(line),
    });
    return { lines, plan: JSON.stringify(outcome.plan) };
  };
  const first = await trace();
  t.ok(first.lines.length > 100);
  t.is(differing(first.lines, (await trace()).lines), null, `seed ${FIRST}`);
  t.is(differing(first.lines, (await trace(first.plan)).lines), null, `the plan of seed ${FIRST}`);
});

/** The first lines that are not the same. */
function differing(left: readonly string[], right: readonly string[]): string | null {
  const at = left.findIndex((line, number) => line !== right[number]);
  if (at < 0 && left.length === right.length) return null;
  return at < 0 ? `${right.length - left.length} lines more` : `${left[at]} | ${right[at]}`;
}
