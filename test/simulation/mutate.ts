import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { Scope } from '../helpers/scope.js';
import { BuildCopy } from './mutants/build-copy.js';
import type { Mutant } from './mutants/mutant.js';
import { runSeeds, type SeedsResult } from './mutants/run-seeds.js';
import { MUTANTS } from './mutants.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
/** Seeds of a mutant that may fail although they do so without it, before it is given up. */
const FAILING_MAX = 10;

interface Options {
  seed: number;
  seeds: number;
  steps: number;
  kinds?: string;
  seconds: number;
  only: string[];
  list: boolean;
}

const program = new Command('mutants')
  .description('Run the simulation on wrong versions of the shipped code: a row for each, and the seed that caught it.')
  .addOption(new Option('--seed <number>', 'the first seed').argParser(wholeNumber).default(1))
  .addOption(new Option('--seeds <number>', 'seeds that each is given').argParser(wholeNumber).default(1000))
  .addOption(new Option('--steps <number>', 'turns of guests in each seed').argParser(wholeNumber).default(1000))
  .option('--kinds <kinds>', 'faults that happen, with commas')
  .addOption(new Option('--seconds <number>', 'real time that each is given').argParser(wholeNumber).default(600))
  .addOption(new Option('--only <name>', 'the mutants whose name contains it; several').argParser(andMore).default([]))
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
  const survivors: string[] = [];
  const scope = new Scope();
  try {
    const copy = await BuildCopy.make(PROJECT, scope);
    for (const mutant of mutants) {
      const startedMs = performance.now();
      const { clean, failed } = await hunt(copy, mutant);
      const took = `${Math.round((performance.now() - startedMs) / 1000)} s`;
      const verdict = failed ? `caught by seed ${failed.seed}: ${failed.complaint}` : `SURVIVED ${clean} seeds`;
      console.log(`${mutant.name}: ${verdict} (${took})`);
      if (!failed) survivors.push(mutant.name);
    }
  } finally {
    await scope.end();
  }
  console.log(`${mutants.length - survivors.length} caught, ${survivors.length} survived`);
  return survivors.length === 0;
}

/** Runs seeds until one fails that is clean without the mutant. */
async function hunt(copy: BuildCopy, mutant: Mutant): Promise<SeedsResult> {
  const { seed: first, seeds, steps, kinds, seconds } = options;
  const last = first + seeds - 1;
  const deadlineMs = performance.now() + seconds * 1000;
  let clean = 0;
  let next = first;
  for (let failing = 0; next <= last && failing < FAILING_MAX; failing++) {
    await copy.become(mutant);
    const budgetMs = Math.max(0, deadlineMs - performance.now());
    const result = await runSeeds({ directory: copy.directory, first: next, last, steps, kinds, budgetMs });
    clean += result.clean;
    if (!result.failed) break;
    await copy.restore();
    const { seed, complaint } = result.failed;
    const alone = { directory: copy.directory, first: seed, last: seed, steps, kinds, budgetMs: seconds * 1000 };
    const without = await runSeeds(alone);
    if (!without.failed) return { clean, failed: result.failed };
    console.log(`seed ${seed} fails without "${mutant.name}" too: ${complaint}`);
    next = seed + 1;
  }
  return { clean, failed: null };
}

function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('a whole number');
  return Number(text);
}

function andMore(name: string, others: string[]): string[] {
  return [...others, name];
}
