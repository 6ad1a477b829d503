import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { Scope } from '../helpers/scope.js';
import { kindsOf, wholeNumber } from './command-line.js';
import type { BegunKind } from './fault-rates.js';
import { BuildCopy } from './mutants/build-copy.js';
import { hunt, JOBS_DEFAULT } from './mutants/hunt.js';
import type { Mutant } from './mutants/mutant.js';
import { MUTANTS } from './mutants.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
/** Of what is said of a seed that failed: a row is to be read. */
const COMPLAINT_CHARACTERS = 200;

interface Options {
  seed: number;
  seeds: number;
  jobs: number;
  steps?: number;
  kinds?: readonly BegunKind[];
  seconds: number;
  only: string[];
  seedsOnly: boolean;
  list: boolean;
}

const program = new Command('mutants')
  .description('Run the simulation on wrong versions of the shipped code: a row for each, and the seed that caught it.')
  .addOption(new Option('--seed <number>', 'the first seed').argParser(wholeNumber).default(1))
  .addOption(new Option('--seeds <number>', 'seeds that each is given').argParser(wholeNumber).default(1000))
  .addOption(new Option('--jobs <number>', 'seeds at a time').argParser(wholeNumber).default(JOBS_DEFAULT, 'the cores'))
  .addOption(
    new Option('--steps <number>', "turns of guests in each seed; else each mutant's own").argParser(wholeNumber),
  )
  .addOption(
    new Option('--kinds <kinds>', "faults that happen, with commas; else each mutant's own").argParser(kindsOf),
  )
  .addOption(
    new Option('--seconds <number>', 'real time of seeds that each is given').argParser(wholeNumber).default(1200),
  )
  .addOption(new Option('--only <name>', 'the mutants whose name contains it; several').argParser(andMore).default([]))
  .option('--seeds-only', 'nothing but seeds, none of them known', false)
  .option('--list', 'print their names, and what they break', false);

const options = program.parse().opts<Options>();
const isChosen = ({ name }: Mutant) => options.only.length === 0 || options.only.some((part) => name.includes(part));
const chosen = MUTANTS.filter(isChosen);
if (chosen.length === 0) program.error(`there is no mutant ${options.only.join(', ')}`, { exitCode: 2 });
if (options.list) {
  for (const { name, why } of chosen) console.log(`${name}\n    ${why}`);
} else {
  process.exitCode = (await runAll(chosen)) ? 0 : 1;
}

/** Answers whether all were caught. */
async function runAll(mutants: readonly Mutant[]): Promise<boolean> {
  const { seed: first, kinds, steps, ...rest } = options;
  const survivors: string[] = [];
  const scope = new Scope();
  try {
    const copy = await BuildCopy.make(PROJECT, scope);
    for (const mutant of mutants) {
      const startedMs = performance.now();
      const { clean, caught } = await hunt(copy, mutant, { ...rest, first, kinds, steps, note });
      const took = `${Math.round((performance.now() - startedMs) / 1000)} s`;
      const complaint = caught?.complaint.slice(0, COMPLAINT_CHARACTERS);
      const verdict = caught ? `caught by ${caught.by}: ${complaint}` : `SURVIVED ${clean} seeds`;
      console.log(`${mutant.name}: ${verdict} (${took})`);
      if (!caught) survivors.push(mutant.name);
    }
  } finally {
    await scope.end();
  }
  console.log(`${mutants.length - survivors.length} caught, ${survivors.length} survived`);
  return survivors.length === 0;
}

function note(what: string): void {
  console.log(what);
}

function andMore(name: string, others: string[]): string[] {
  return [...others, name];
}
