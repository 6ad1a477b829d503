import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { factor, kindsOf, wholeNumber } from './command-line.js';
import type { BegunKind } from './fault-rates.js';
import { DEFAULT_KINDS } from './run.js';
import type { SeedJob, SeedReport } from './seed-job.js';
import { SeedPool } from './seed-pool.js';

const BUILD = fileURLToPath(new URL('../..', import.meta.url));
/** Lines of the trace that are shown of a seed that failed. */
const TRACE_LINES = 60;

interface Options {
  seed: number;
  count: number;
  jobs: number;
  steps: number;
  hosts: number;
  kinds: readonly BegunKind[];
  roughness: number;
  seconds: number;
  trace: boolean;
  messages: boolean;
  keepGoing: boolean;
  forgiveLosses: boolean;
}

const program = new Command('simulate')
  .description('Run whole clusters on simulated clocks, networks, disks and stores, each from a seed.')
  .addOption(new Option('--seed <number>', 'the first seed').argParser(wholeNumber).default(1))
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
  .addOption(new Option('--seconds <number>', 'real time that a seed may take').argParser(wholeNumber).default(60))
  .option('--trace', 'print everything that happens, one seed at a time', false)
  .option('--forgive-losses', 'guests end by themselves where unflushed writes may be lost', false)
  .option('--messages', 'have messages in the trace', false)
  .option('--keep-going', 'go on after a seed that failed', false);

const options = program.parse().opts<Options>();
const failed: number[] = [];
const pool = new SeedPool({ directory: BUILD, jobs: options.trace ? 1 : Math.max(1, options.jobs) });
await pool.run(
  Array.from({ length: options.count }, (_, number) => jobOf(options.seed + number)),
  (report) => {
    print(report);
    if (report.complaint === null) return true;
    failed.push(report.seed);
    return options.keepGoing;
  },
);
if (failed.length > 0 && options.count > 1) console.log(`failed: ${failed.join(' ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;

function jobOf(seed: number): SeedJob {
  const { trace, ...rest } = options;
  return { ...rest, seed, print: trace, traceLines: TRACE_LINES };
}

function print({ seed, complaint, tookMs, simulatedMs, events, faults, trace }: SeedReport): void {
  const took = `${Math.round(tookMs)} ms`;
  const simulated = `${Math.round(simulatedMs / 1000)} s simulated, ${events} events, ${faults} faults`;
  if (trace.length > 0) console.log(trace.join('\n'));
  console.log(`seed ${seed}: ${complaint ?? 'clean'}, ${took}, ${simulated}`);
  if (complaint !== null) console.log(`repeat: ${commandOf(seed)}`);
}

function commandOf(seed: number): string {
  const { steps, hosts, kinds, roughness, forgiveLosses } = options;
  const more = `${roughness === 1 ? '' : ` --roughness ${roughness}`}${forgiveLosses ? ' --forgive-losses' : ''}`;
  return `npm run simulate -- --seed ${seed} --steps ${steps} --hosts ${hosts} --kinds ${kinds.join()}${more}`;
}
