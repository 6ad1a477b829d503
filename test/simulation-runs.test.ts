import { test } from 'brittle';
import { DEFAULT_KINDS, simulate } from './simulation/run.js';
import { Watchdog } from './simulation/watchdog.js';

/** So many seeds beside the known ones, within about half a minute. */
const SEEDS = Number(process.env.SEEDS ?? 15);
const STEPS = 1000;
/** The same ones each time, unless another first one is given: fresh ones are for `npm run simulate`. */
const FIRST = Number(process.env.SEED ?? 60_000) >>> 0;
/** Of one run, in real time; many times what it takes. */
const RUN_MS_MAX = 60_000;

/** Runs that went wrong once. */
const KNOWN = [
  { name: 'a restarted worker fences before its new incarnation is in the map', seed: 2, steps: 1000 },
  { name: 'a group without members reads from a copy that lost its power', seed: 6, steps: 1000 },
  { name: 'a group without members, in the middle of everything', seed: 150, steps: 1000 },
  { name: 'a member hears of a retirement when it is gone', seed: 101, steps: 1000 },
  { name: 'a fence before any host is up again', seed: 244, steps: 1000 },
  { name: 'a role is being taken when its host becomes a new incarnation', seed: 375, steps: 2000 },
];

async function run(seed: number, steps: number, hosts: number): Promise<string | null> {
  const startedMs = performance.now();
  const isOverdue = () => performance.now() - startedMs > RUN_MS_MAX;
  const watchdog = new Watchdog(
    `# stuck within one event: seed ${seed}, ${steps} steps, ${hosts} hosts`,
    RUN_MS_MAX * 2,
  );
  const { failure, overdue } = await simulate({ seed, steps, hosts, kinds: DEFAULT_KINDS, isOverdue });
  await watchdog.end();
  return overdue ? 'stuck' : (failure?.message ?? null);
}

for (const { name, seed, steps } of KNOWN) {
  test(`a simulated cluster keeps its promises: ${name}`, { timeout: RUN_MS_MAX * 3 }, async (t) => {
    t.is(await run(seed, steps, 3), null, `seed ${seed}`);
  });
}

test('a seed does the same again', { timeout: RUN_MS_MAX }, async (t) => {
  const digest = async () => {
    const { world } = await simulate({ seed: FIRST, steps: STEPS / 4, hosts: 3, kinds: DEFAULT_KINDS, messages: true });
    return world.trace.digest();
  };
  const first = await digest();
  t.is(await digest(), first, `seed ${FIRST}`);
});

test('a simulated host alone keeps its promises', { timeout: RUN_MS_MAX * 3 * SEEDS }, async (t) => {
  for (let count = 0; count < SEEDS / 3; count++) {
    const seed = (FIRST + count) >>> 0;
    t.is(await run(seed, STEPS, 1), null, `npm run simulate -- --seed ${seed} --steps ${STEPS} --hosts 1`);
  }
});

test('simulated clusters keep their promises', { timeout: RUN_MS_MAX * 3 * SEEDS }, async (t) => {
  for (let count = 0; count < SEEDS; count++) {
    const seed = (FIRST + count) >>> 0;
    const hosts = 3 + (seed % 3);
    const failure = await run(seed, STEPS, hosts);
    t.is(failure, null, `npm run simulate -- --seed ${seed} --steps ${STEPS} --hosts ${hosts}`);
  }
});
