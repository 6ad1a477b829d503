import { availableParallelism } from 'node:os';
import { DEFAULT_KINDS } from '../run.js';
import type { SeedJob, SeedReport } from '../seed-job.js';
import { SeedPool } from '../seed-pool.js';
import type { BuildCopy } from './build-copy.js';
import type { Mutant } from './mutant.js';
import { firstFailure } from './run-tests.js';

/** Seeds of a mutant that may fail although they do so without it, before it is given up. */
const FAILING_MAX = 10;
/** A mutant is given its chance: several faults a simulated minute, one on top of the other. */
const ROUGHNESS = 2;
const SEED_SECONDS = 60;
/** The test file that plays them takes as long as a few seeds. */
const SCENARIOS = 'scenarios';

export interface HuntOptions {
  readonly first: number;
  readonly seeds: number;
  readonly steps: number;
  /** In place of the mutant's own. */
  readonly kinds: SeedJob['kinds'] | undefined;
  /** Real time that a mutant is given. */
  readonly seconds: number;
  readonly jobs: number;
  /** Something worth saying that is no verdict. */
  note(what: string): void;
}

export interface Verdict {
  /** Seeds that were clean with the mutant. */
  readonly clean: number;
  /** The test, or the seed that is clean without it, that caught it; null where time or seeds ran out before. */
  readonly caught: { readonly by: string; readonly complaint: string } | null;
}

export const JOBS_DEFAULT = availableParallelism();

/** Runs seeds of a mutant until one fails that is clean without it. */
export async function hunt(copy: BuildCopy, mutant: Mutant, options: HuntOptions): Promise<Verdict> {
  const { first, seeds, jobs, seconds, note } = options;
  const deadlineMs = performance.now() + seconds * 1000;
  const last = first + seeds - 1;
  await copy.become(mutant);
  const failure = await firstFailure(copy.directory, [...(mutant.tests ?? []), SCENARIOS], seconds * 1000);
  if (failure) return { clean: 0, caught: { by: `test ${failure.name}`, complaint: failure.complaint } };
  let clean = 0;
  let next = first;
  for (let failing = 0; next <= last && failing < FAILING_MAX; failing++) {
    await copy.become(mutant);
    const count = last - next + 1;
    const failed = await firstToFail(copy, jobs, deadlineMs, jobsOf(mutant, options, next, count), () => clean++);
    if (failed === null) break;
    await copy.restore();
    const alone = jobsOf(mutant, options, failed.seed, 1);
    if ((await firstToFail(copy, 1, Number.POSITIVE_INFINITY, alone, () => {})) === null) {
      return { clean, caught: { by: `seed ${failed.seed}`, complaint: failed.complaint! } };
    }
    note(`seed ${failed.seed} fails without "${mutant.name}" too: ${failed.complaint}`);
    next = failed.seed + 1;
  }
  return { clean, caught: null };
}

function jobsOf(mutant: Mutant, options: HuntOptions, first: number, count: number): SeedJob[] {
  const { steps } = options;
  const kinds = options.kinds ?? mutant.kinds ?? DEFAULT_KINDS;
  return Array.from({ length: count }, (_, number) => {
    const seed = first + number;
    // As many hosts as disks can be spread over, and one or two more.
    const hosts = 3 + (seed % 3);
    return {
      ...{ seed, steps, hosts, kinds, roughness: ROUGHNESS, forgiveLosses: false },
      ...{ messages: false, print: false, seconds: SEED_SECONDS, traceLines: 0 },
    };
  });
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
