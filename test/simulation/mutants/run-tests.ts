import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { killGroup, track, untrack } from '../../helpers/cleanup.js';

/** Runs test files of a build, one after another, until one fails: its name, and what it says. Null where none does. */
export async function firstFailure(
  directory: string,
  names: readonly string[],
  budgetMs: number,
): Promise<{ readonly name: string; readonly complaint: string } | null> {
  for (const name of names) {
    const complaint = await complaintOf(join(directory, `test/${name}.test.js`), budgetMs);
    if (complaint !== null) return { name, complaint };
  }
  return null;
}

async function complaintOf(file: string, budgetMs: number): Promise<string | null> {
  const child = spawn(process.execPath, [file], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const group = child.pid!;
  track(group);
  const timer = setTimeout(() => killGroup(group), budgetMs);
  let complaint: string | null = null;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const found = /^ *not ok \d+ - (.*?)( # time.*)?$/.exec(line);
    complaint ??= found?.[1] ?? null;
  });
  const how = await new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  clearTimeout(timer);
  untrack(group);
  // A mutant that makes a test hang is not let off.
  return complaint ?? (how === 'exit code 0' ? null : how);
}
