import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { killGroup, track, untrack } from '../../helpers/cleanup.js';

/** Tests do what they did before: what fails with a mutant is looked for without it. */
const SAME_EACH_TIME = { FRESH_SECONDS: '0' };
/** Of what a process says before it dies. */
const LAST_WORDS_CHARACTERS = 2000;

/** Runs node with these arguments; answers null where it exits 0, else what it died of. `heard` gets what it prints. */
export async function runChild(
  args: readonly string[],
  budgetMs: number,
  heard: (line: string) => void,
): Promise<string | null> {
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...SAME_EACH_TIME },
  });
  const group = child.pid!;
  track(group);
  const timer = setTimeout(() => killGroup(group), budgetMs);
  createInterface({ input: child.stdout }).on('line', heard);
  let lastWords = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-LAST_WORDS_CHARACTERS);
  });
  const how = await new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  clearTimeout(timer);
  untrack(group);
  return how === 'exit code 0' ? null : (/^\w*Error\b.*/m.exec(lastWords)?.[0] ?? how);
}
