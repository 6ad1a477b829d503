import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { factor, kindsOf, wholeNumber } from './command-line.js';
import { kindOfComplaint } from './complaint.js';
import type { BegunKind } from './fault-rates.js';
import type { Plan } from './plan.js';
import { DEFAULT_KINDS } from './run.js';
import type { SeedJob, SeedReport } from './seed-job.js';
import { SeedPool } from './seed-pool.js';
import { Shrinker } from './shrink.js';
import { ADMINISTRATION_DEFAULT } from './workload.js';

const BUILD = fileURLToPath(new URL('../..', import.meta.url));
/** Lines of the trace that are shown of a seed that failed, and of what is left of it when it was shrunk. */
const TRACE_LINES = 60;
const SHRUNK_LINES = 250;

interface Options {
  seed: number;
  plan?: string;
  count: number;
  jobs: number;
  steps: number;
  hosts: number;
  kinds: readonly BegunKind[];
  roughness: number;
  administration: number;
  seconds: number;
  shrinkSeconds: number;
  trace: boolean;
  messages: boolean;
  keepGoing: boolean;
  forgiveLosses: boolean;
}

const program = new Command('simulate')
  .description('Run whole clusters on simulated clocks, networks, disks and stores, each from a seed.')
  .addOption(new Option('--seed <number>', 'the first seed').argParser(wholeNumber).default(1))
  .option('--plan <file>', 'instead of seeds, what is left of one that was shrunk')
  .addOption(new Option('--count <number>', 'so many seeds, one after the other').argParser(wholeNumber).default(1))
  .addOption(
    new Option('--jobs <number>', 'seeds at a time')
      .argParser(wholeNumber)
      .default(availableParallelism(), 'the cores'),
  )
  .addOption(new Option('--steps <number>', 'turns of guests in each').argParser(wholeNumber).default(1000))
  .addOption(new Option('--hosts <number>', 'one to seven').argParser(wholeNumber).default(3))
  .addOption(new Option('--kinds <kinds>', 'faults that happen, with commas').argParser(kindsOf).default(DEFAULT_KINDS))
  .addOption(new Option('--roughness <number>', 'faults come so many times as often').argParser(factor).default(1))
  .addOption(
    new Option('--administration <share>', 'of the turns of guests, those that the administrator has one as well')
      .argParser(factor)
      .default(ADMINISTRATION_DEFAULT),
  )
  .addOption(new Option('--seconds <number>', 'real time that a seed may take').argParser(wholeNumber).default(60))
  .addOption(
    new Option('--shrink-seconds <number>', 'real time to make the first failure shorter; 0: none')
      .argParser(wholeNumber)
      .default(60),
  )
  .option('--trace', 'print everything that happens, one seed at a time', false)
  .option('--forgive-losses', 'guests end by themselves where unflushed writes may be lost', false)
  .option('--messages', 'have messages in the trace', false)
  .option('--keep-going', 'go on after a seed that failed', false);

const options = program.parse().opts<Options>();
const pool = new SeedPool({ directory: BUILD, jobs: options.trace ? 1 : Math.max(1, options.jobs) });
process.exitCode = (await (options.plan === undefined ? runSeeds() : runPlan(options.plan))) ? 0 : 1;
pool.close();

/** Answers whether all were clean. */
async function runSeeds(): Promise<boolean> {
  const failed: SeedReport[] = [];
  const jobs = Array.from({ length: options.count }, (_, number) => jobOf(options.seed + number));
  await pool.run(jobs, (report) => {
    print(report, commandOf(report.seed));
    if (report.complaint === null) return true;
    failed.push(report);
    return options.keepGoing;
  });
  if (failed.length > 0 && options.count > 1) console.log(`failed: ${failed.map(({ seed }) => seed).join(' ')}`);
  if (failed[0]) await shrink(failed[0]);
  return failed.length === 0;
}

async function runPlan(file: string): Promise<boolean> {
  const plan = JSON.parse(readFileSync(file, 'utf8')) as Plan;
  let complaint: string | null = null;
  await pool.run([{ ...jobOf(plan.seed), plan }], (report) => {
    complaint = report.complaint;
    print(report, `npm run simulate -- --plan ${file}`);
    return true;
  });
  return complaint === null;
}

function jobOf(seed: number): SeedJob {
  const { trace, plan: _plan, ...rest } = options;
  return { ...rest, seed, print: trace, traceLines: TRACE_LINES };
}

/** Prints the shortest trace of the failure that is found, and puts its plan into a file. */
async function shrink({ seed, plan, complaint }: SeedReport): Promise<void> {
  const { shrinkSeconds, trace, jobs } = options;
  if (plan === null || shrinkSeconds === 0 || trace) return;
  const endMs = performance.now() + shrinkSeconds * 1000;
  const kind = kindOfComplaint(complaint!);
  const isOver = () => performance.now() >= endMs;
  let tried = 0;
  const timer = setTimeout(() => pool.stop(), shrinkSeconds * 1000);
  const firstToFail = async (plans: readonly Plan[]) => {
    let found: Plan | null = null;
    const all = plans.map((each): SeedJob => ({ ...jobOf(seed), plan: each, messages: false, traceLines: 0 }));
    await pool.run(all, (report) => {
      tried++;
      // As it was carried out, which is without what came after the failure.
      if (report.complaint !== null && kindOfComplaint(report.complaint) === kind) found = report.plan;
      return found === null;
    });
    return found;
  };
  const shrunk = await new Shrinker(plan, firstToFail, isOver, jobs).shrink();
  clearTimeout(timer);
  const file = join(tmpdir(), `simulated-seed-${seed}.json`);
  writeFileSync(file, `${JSON.stringify(shrunk)}\n`);
  const job = { ...jobOf(seed), plan: shrunk, messages: true, traceLines: SHRUNK_LINES, relevantLines: true };
  console.log(`\nshrunk in ${tried} runs from ${describePlan(plan)} to ${describePlan(shrunk)}:`);
  await pool.run([job], (report) => {
    print(report, `npm run simulate -- --plan ${file} --messages`);
    return true;
  });
}

function describePlan({ hosts, rounds }: Plan): string {
  const faults = rounds.reduce((total, round) => total + round.faults.length, 0);
  const steps = rounds.reduce((total, round) => total + round.steps.length, 0);
  return `${hosts} hosts, ${rounds.length} rounds, ${faults} faults and ${steps} steps`;
}

function print({ seed, complaint, tookMs, simulatedMs, events, faults, trace }: SeedReport, command: string): void {
  const took = `${Math.round(tookMs)} ms`;
  const simulated = `${Math.round(simulatedMs / 1000)} s simulated, ${events} events, ${faults} faults`;
  if (trace.length > 0) console.log(trace.join('\n'));
  console.log(`seed ${seed}: ${complaint ?? 'clean'}, ${took}, ${simulated}`);
  if (complaint !== null) console.log(`repeat: ${command}`);
}

function commandOf(seed: number): string {
  const { steps, hosts, kinds, roughness, administration, forgiveLosses } = options;
  const rough = roughness === 1 ? '' : ` --roughness ${roughness}`;
  const busy = administration === ADMINISTRATION_DEFAULT ? '' : ` --administration ${administration}`;
  const more = `${rough}${busy}${forgiveLosses ? ' --forgive-losses' : ''}`;
  return `npm run simulate -- --seed ${seed} --steps ${steps} --hosts ${hosts} --kinds ${kinds.join()}${more}`;
}
