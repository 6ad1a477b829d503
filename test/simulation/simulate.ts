import { Command, InvalidArgumentError, Option } from 'commander';
import { type BegunKind, NO_FAULTS } from './fault-rates.js';
import { DEFAULT_KINDS, type Outcome, simulate } from './run.js';
import { Watchdog } from './watchdog.js';

/** Lines of the trace that are shown of a seed that failed. */
const TRACE_LINES = 60;

interface Options {
  seed: number;
  count: number;
  steps: number;
  hosts: number;
  kinds: readonly BegunKind[];
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
  .addOption(new Option('--steps <number>', 'turns of guests in each').argParser(wholeNumber).default(1000))
  .addOption(new Option('--hosts <number>', 'three to seven').argParser(wholeNumber).default(3))
  .addOption(new Option('--kinds <kinds>', 'faults that happen, with commas').argParser(kindsOf).default(DEFAULT_KINDS))
  .addOption(new Option('--seconds <number>', 'real time that a seed may take').argParser(wholeNumber).default(60))
  .option('--trace', 'print everything that happens', false)
  .option('--forgive-losses', 'guests end by themselves where unflushed writes may be lost', false)
  .option('--messages', 'have messages in the trace', false)
  .option('--keep-going', 'go on after a seed that failed', false);

const options = program.parse().opts<Options>();
const failed: number[] = [];
for (let seed = options.seed; seed < options.seed + options.count; seed++) {
  if (await runSeed(seed, options)) continue;
  failed.push(seed);
  if (!options.keepGoing) break;
}
if (failed.length > 0 && options.count > 1) console.log(`failed: ${failed.join(' ')}`);
process.exit(failed.length > 0 ? 1 : 0);

/** Answers whether it was clean. */
async function runSeed(
  seed: number,
  { steps, hosts, kinds, seconds, trace, messages, forgiveLosses }: Options,
): Promise<boolean> {
  const startedMs = performance.now();
  const watchdog = new Watchdog(`seed ${seed}: stuck within one event, repeat: ${commandOf(seed)}`, seconds * 2000);
  const outcome = await simulate({
    ...{ seed, steps, hosts, kinds, messages, forgiveLosses },
    isOverdue: () => performance.now() - startedMs > seconds * 1000,
    ...(trace && { print: (line: string) => process.stdout.write(`${line}\n`) }),
  });
  await watchdog.end();
  const { scheduler } = outcome.world;
  const took = `${Math.round(performance.now() - startedMs)} ms`;
  const simulated = `${Math.round(scheduler.nowMs / 1000)} s simulated, ${scheduler.events} events`;
  if (!outcome.failure && !outcome.overdue) {
    console.log(`seed ${seed}: clean, ${took}, ${simulated}, ${faultsOf(outcome)} faults`);
    return true;
  }
  if (!trace) console.log(outcome.world.trace.lines().slice(-TRACE_LINES).join('\n'));
  console.log(`seed ${seed}: ${outcome.failure ? outcome.failure.message : 'stuck'}, ${took}, ${simulated}`);
  console.log(`repeat: ${commandOf(seed)}`);
  return false;
}

function faultsOf({ faults }: Outcome): number {
  return [...faults.values()].reduce((total, count) => total + count, 0);
}

function commandOf(seed: number): string {
  const { steps, hosts, kinds, forgiveLosses } = options;
  const forgives = forgiveLosses ? ' --forgive-losses' : '';
  return `npm run simulate -- --seed ${seed} --steps ${steps} --hosts ${hosts} --kinds ${kinds.join()}${forgives}`;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('a whole number');
  return Number(text);
}

function kindsOf(text: string): readonly BegunKind[] {
  const kinds = text.split(',').filter((kind) => kind !== '');
  const unknown = kinds.find((kind) => !Object.hasOwn(NO_FAULTS, kind));
  if (unknown !== undefined) throw new InvalidArgumentError(`${unknown} is none of ${Object.keys(NO_FAULTS).join()}`);
  return kinds as BegunKind[];
}
