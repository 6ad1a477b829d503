import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { killGroup, track, untrack } from '../../helpers/cleanup.js';

/** Of what is said of a seed that failed, so much is kept: a row is to be read. */
const COMPLAINT_CHARS = 200;

export interface SeedsOptions {
  /** The build whose simulation is run. */
  directory: string;
  first: number;
  last: number;
  steps: number;
  /** Faults that happen, with commas; what the simulation has by default where there are none. */
  kinds?: string;
  /** Real time after which no more seeds are run. */
  budgetMs: number;
}

export interface SeedsResult {
  /** Seeds that were clean, from the first on. */
  readonly clean: number;
  /** The first that was not, and what was wrong; null where time or seeds ran out before. */
  readonly failed: { readonly seed: number; readonly complaint: string } | null;
}

/** Runs the simulation of a build, in a process of its own, until a seed fails. */
export async function runSeeds(options: SeedsOptions): Promise<SeedsResult> {
  const { directory, first, last, steps, kinds, budgetMs } = options;
  const simulation = [
    join(directory, 'test/simulation/simulate.js'),
    ...['--seed', `${first}`, '--count', `${last - first + 1}`, '--steps', `${steps}`],
    ...(kinds === undefined ? [] : ['--kinds', kinds]),
  ];
  const child = spawn(process.execPath, simulation, { detached: true });
  const group = child.pid!;
  track(group);
  const ended = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    killGroup(group);
  }, budgetMs);

  let clean = 0;
  let complaint: string | null = null;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const found = /^seed \d+: (.*)$/.exec(line);
    if (found?.[1]?.startsWith('clean')) clean++;
    else complaint ??= found?.[1] ?? null;
  });
  // Of a process that ended in a way that the simulation did not see to.
  let trouble: string | null = null;
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (/^\w*Error\b/.test(line)) trouble ??= line;
  });
  const how = await ended;
  clearTimeout(timer);
  untrack(group);
  if (complaint === null && (isOver || how === 'exit code 0')) return { clean, failed: null };
  const said: string = complaint ?? trouble ?? how;
  return { clean, failed: { seed: first + clean, complaint: said.slice(0, COMPLAINT_CHARS) } };
}
