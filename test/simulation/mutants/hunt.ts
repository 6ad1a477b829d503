import { availableParallelism } from 'node:os';
import { DEFAULT_KINDS } from '../run.js';
import type { SeedJob, SeedReport } from '../seed-job.js';
import { SeedPool } from '../seed-pool.js';
import type { BuildCopy } from './build-copy.js';
import type { Mutant } from './mutant.js';
import { firstDefect, scenariosOf } from './run-scenarios.js';
import { complaintOfTest } from './run-tests.js';

/** Seeds of a mutant that may fail although they do so without it, before it is given up. */
const FAILING_MAX = 10;
/** A mutant is given its chance: several faults a simulated minute, one on top of the other. */
const ROUGHNESS_DEFAULT = 2;
/** Turns of guests in each seed. */
const STEPS_DEFAULT = 1000;
const SEED_SECONDS = 60;

export interface HuntOptions {
  readonly first: number;
  readonly seeds: number;
  /** These two in place of the mutant's own. */
  readonly steps: number | undefined;
  readonly kinds: SeedJob['kinds'] | undefined;
  /** Real time that a mutant's new seeds are given. */
  readonly seconds: number;
  readonly jobs: number;
  /** Nothing but new seeds is tried. */
  readonly seedsOnly: boolean;
  /** Something worth saying that is no verdict. */
  note(what: string): void;
}

/** What fails with a mutant, and not without it. */
export interface Caught {
  readonly by: string;
  readonly complaint: string;
}

export interface Verdict {
  /** Seeds that were clean with the mutant. */
  readonly clean: number;
  /** Null where time or seeds ran out before. */
  readonly caught: Caught | null;
}

export const JOBS_DEFAULT = availableParallelism();

/**
 * Runs what may catch a mutant until something does: what did before, the tests that are named with it, all scenarios, new
 * seeds. Each is run on what is shipped as well: what fails there says nothing of the mutant.
 */
export async function hunt(copy: BuildCopy, mutant: Mutant, options: HuntOptions): Promise<Verdict> {
  const known = (mutant.seeds ?? []).map((seed) => jobOf(mutant, { steps: undefined, kinds: undefined }, seed));
  const unlimited = { ...options, seconds: Number.POSITIVE_INFINITY };
  if (!options.seedsOnly) {
    const before =
      (await byScenarios(copy, mutant, options, mutant.scenario === undefined ? [] : [mutant.scenario])) ??
      (await bySeeds(copy, mutant, unlimited, known)).caught ??
      (await byTests(copy, mutant, options)) ??
      (await byScenarios(copy, mutant, options, scenariosOf(copy.directory)));
    if (before) return { clean: 0, caught: before };
  }
  const { first, seeds } = options;
  const jobs = Array.from({ length: seeds }, (_, number) => jobOf(mutant, options, first + number));
  return bySeeds(copy, mutant, options, jobs);
}

async function byTests(copy: BuildCopy, mutant: Mutant, { note }: HuntOptions): Promise<Caught | null> {
  for (const name of mutant.tests ?? []) {
    await copy.become(mutant);
    const complaint = await complaintOfTest(copy.directory, name);
    if (complaint === null) continue;
    await copy.restore();
    const without = await copy.once(`test ${name}`, () => complaintOfTest(copy.directory, name));
    if (without === null) return { by: `test ${name}`, complaint };
    note(`test ${name} fails without "${mutant.name}" too: ${without}`);
  }
  return null;
}

async function byScenarios(
  copy: BuildCopy,
  mutant: Mutant,
  { note }: HuntOptions,
  scenarios: readonly string[],
): Promise<Caught | null> {
  let names = scenarios;
  while (names.length > 0) {
    await copy.become(mutant);
    const failed = await firstDefect(copy.directory, names);
    if (failed === null) return null;
    const { name, complaint } = failed;
    await copy.restore();
    const without = await copy.once(`scenario ${name}`, () => firstDefect(copy.directory, [name]));
    if (without === null) return { by: `scenario ${name}`, complaint };
    note(`scenario ${name} fails without "${mutant.name}" too: ${without.complaint}`);
    names = names.slice(names.indexOf(name) + 1);
  }
  return null;
}

async function bySeeds(
  copy: BuildCopy,
  mutant: Mutant,
  { jobs, seconds, note }: HuntOptions,
  seeds: readonly SeedJob[],
): Promise<Verdict> {
  const deadlineMs = performance.now() + seconds * 1000;
  let clean = 0;
  let left = seeds;
  for (let failing = 0; left.length > 0 && failing < FAILING_MAX; failing++) {
    await copy.become(mutant);
    const failed = await firstToFail(copy, jobs, deadlineMs, left, () => clean++);
    if (failed === null) break;
    await copy.restore();
    const at = left.findIndex(({ seed }) => seed === failed.seed);
    const without = await firstToFail(copy, 1, Number.POSITIVE_INFINITY, left.slice(at, at + 1), () => {});
    if (without === null) return { clean, caught: { by: `seed ${failed.seed}`, complaint: failed.complaint! } };
    note(`seed ${failed.seed} fails without "${mutant.name}" too: ${without.complaint}\n  ${commandOf(left[at]!)}`);
    left = left.slice(at + 1);
  }
  return { clean, caught: null };
}

function jobOf(mutant: Mutant, { steps, kinds }: Pick<HuntOptions, 'steps' | 'kinds'>, seed: number): SeedJob {
  return {
    seed,
    steps: steps ?? mutant.steps ?? STEPS_DEFAULT,
    // As many hosts as disks can be spread over, and one or two more.
    hosts: 3 + (seed % 3),
    kinds: kinds ?? mutant.kinds ?? DEFAULT_KINDS,
    roughness: mutant.roughness ?? ROUGHNESS_DEFAULT,
    administration: mutant.administration,
    ...{ forgiveLosses: false, messages: false, print: false, seconds: SEED_SECONDS, traceLines: 0 },
  };
}

/** What repeats a seed on what is shipped, with the administrator's share where that is not the default. */
function commandOf({ seed, steps, hosts, kinds, roughness, administration }: SeedJob): string {
  const more = administration === undefined ? '' : ` --administration ${administration}`;
  return `repeat: npm run simulate -- --seed ${seed} --steps ${steps} --hosts ${hosts} --kinds ${kinds.join()} --roughness ${roughness}${more}`;
}

/** Null where all were clean, or time ran out. */
async function firstToFail(
  { directory }: BuildCopy,
  jobs: number,
  deadlineMs: number,
  seeds: readonly SeedJob[],
  wasClean: () => void,
): Promise<SeedReport | null> {
  const pool = new SeedPool({ directory, jobs });
  const leftMs = Math.min(deadlineMs - performance.now(), 2 ** 31 - 1);
  const timer = setTimeout(() => pool.stop(), Math.max(0, leftMs));
  let failed: SeedReport | null = null;
  await pool.run(seeds, (report) => {
    if (report.complaint === null) wasClean();
    else failed = report;
    return failed === null;
  });
  clearTimeout(timer);
  pool.close();
  return failed;
}
