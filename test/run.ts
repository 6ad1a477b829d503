/**
 * Runs the test files, each in a process of its own, so that a crash or a hang is one failure with a name, and sums up
 * in one last line. `npm test -- fio qemu` runs two of them alone.
 */
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { killGroup, track } from './helpers/cleanup.js';
import { putAwayWhatIsLeft, temporaryRoot } from './helpers/leftovers.js';
import { whatIsMissing } from './helpers/requirements.js';
import { TapCounter } from './helpers/tap.js';

const DIRECTORY = fileURLToPath(new URL('.', import.meta.url));
/** Between asking a file that took too long to end, and killing it. */
const GRACE_MS = 5000;
/**
 * Files that have the machine to themselves, as they measure how long something takes, or how much space there is, or keep
 * all of its cores busy by themselves. Of the others, FILES_AT_ONCE run at a time: most of them wait most of the time.
 */
const ALONE: ReadonlySet<string> = new Set([
  ...[
    'coreutils',
    'daemon',
    'discovery',
    'discovery-lan',
    'enospc',
    'fio',
    'hosts-harness',
    'join',
    'net-links',
    'power-cut',
    'power-cut-daemon',
    'resend',
    'restart',
  ],
  ...['simulation-mutants', 'simulation-runs', 'store-room', 'store-scale', 'store-space', 'swarm-connection'],
]);
const FILES_AT_ONCE = 2;
/** Failed assertions of a file that the summary repeats. */
const FAILURES_SHOWN = 5;

interface FileResult {
  name: string;
  counter: TapCounter;
  /** Why the file as a whole failed, beyond its assertions. */
  trouble: string[];
}

interface Options {
  deadline: string;
  list?: boolean;
}

async function main(): Promise<void> {
  const program = new Command('npm test --')
    .description('Runs the tests; needs root, /dev/fuse and the packages of test/packages.txt.')
    .argument('[names...]', 'test files to run, such as `qemu` for test/qemu.test.ts; all by default')
    .option('--deadline <seconds>', 'how long one file may take', '600')
    .option('--list', 'print the names of the test files and end')
    .parse();
  const options = program.opts<Options>();
  const deadlineSeconds = Number(options.deadline);
  if (!(deadlineSeconds > 0)) program.error('--deadline takes a number of seconds', { exitCode: 2 });

  const names = await testNames();
  const unknown = program.args.find((name) => !names.includes(toName(name)));
  if (unknown !== undefined) program.error(`there is no test file ${unknown}`, { exitCode: 2 });
  if (options.list) return void process.stdout.write(`${names.join('\n')}\n`);

  const missing = whatIsMissing();
  if (missing) {
    process.stderr.write(`${missing}\n`);
    process.exitCode = 1;
    return;
  }

  const wanted = program.args.length > 0 ? program.args.map(toName) : names;
  const results: FileResult[] = [];
  const run = async (waiting: string[], isShown: boolean) => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      results.push(await runFile(name, deadlineSeconds * 1000, isShown));
    }
  };
  const together = wanted.filter((name) => !ALONE.has(name));
  const atOnce = together.length > 1 ? FILES_AT_ONCE : 1;
  await Promise.all(Array.from({ length: atOnce }, () => run(together, atOnce === 1)));
  await run(
    wanted.filter((name) => ALONE.has(name)),
    true,
  );
  process.exitCode = summarize(results);
}

async function testNames(): Promise<string[]> {
  const entries = await readdir(DIRECTORY);
  return entries
    .filter((entry) => entry.endsWith('.test.js'))
    .map(toName)
    .sort();
}

function toName(path: string): string {
  return basename(path).replace(/\.test\.[jt]s$/, '');
}

/** What it prints is shown as it comes where `isShown`, else in one piece when it has ended. */
async function runFile(name: string, deadlineMs: number, isShown: boolean): Promise<FileResult> {
  let held = `\n# ${name}\n`;
  const show = (text: string) => {
    held += text;
    if (isShown) flush();
  };
  const flush = () => {
    process.stdout.write(held);
    held = '';
  };
  show('');
  const result: FileResult = { name, counter: new TapCounter(), trouble: [] };
  const temporary = await temporaryRoot();
  const child = spawn(process.execPath, [join(DIRECTORY, `${name}.test.js`)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary },
    detached: true,
  });
  const group = child.pid!;
  track(group);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    show(text);
    result.counter.add(text);
  });
  child.stderr.setEncoding('utf8').on('data', show);

  let late = false;
  const timers = [
    setTimeout(() => {
      late = true;
      // The file gets the chance to put its processes and mounts away itself.
      child.kill('SIGTERM');
    }, deadlineMs),
    setTimeout(() => killGroup(group), deadlineMs + GRACE_MS),
  ];
  const how = await new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  for (const timer of timers) clearTimeout(timer);
  killGroup(group);

  if (late) result.trouble.push(`took more than ${deadlineMs / 1000} s`);
  else if (!result.counter.complete) result.trouble.push(`ended before its last test (${how})`);
  else if (how !== 'exit code 0' && result.counter.failed === 0) result.trouble.push(how);
  else if (result.counter.passed + result.counter.failed + result.counter.skipped === 0)
    result.trouble.push('tests nothing');
  const left = await putAwayWhatIsLeft(temporary);
  if (left.length > 0) result.trouble.push(`left behind: ${left.join(', ')}`);
  for (const trouble of result.trouble) show(`not ok - ${name}: ${trouble}\n`);
  flush();
  return result;
}

/** Prints which files failed and the sums; answers the exit code. */
function summarize(results: readonly FileResult[]): number {
  const sum = (count: (result: FileResult) => number) => results.reduce((total, result) => total + count(result), 0);
  const passed = sum((result) => result.counter.passed);
  const failed = sum((result) => result.counter.failed + result.trouble.length);
  const skipped = sum((result) => result.counter.skipped);
  process.stdout.write('\n');
  for (const { name, counter, trouble } of results) {
    if (counter.failed > 0) process.stdout.write(`FAILED ${name}: ${counter.failed} assertions\n`);
    for (const line of counter.failures.slice(0, FAILURES_SHOWN).flat()) process.stdout.write(`  ${line}\n`);
    for (const what of trouble) process.stdout.write(`FAILED ${name}: ${what}\n`);
  }
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

await main();
