import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runChild } from './run-child.js';

const SUFFIX = '.txt';
/** Real time of all of them together, which take a few seconds. */
const SECONDS_MAX = 120;

/** Names of the scenarios that a build is played. */
export function scenariosOf(directory: string): string[] {
  const files = readdirSync(scenarioDirectory(directory)).filter((file) => file.endsWith(SUFFIX));
  return files.sort().map((file) => basename(file, SUFFIX));
}

/**
 * Plays scenarios to a build until something goes wrong in one: a complaint of a checker, a stall, an exception. That the
 * trace is another is nothing wrong. Null where nothing does.
 */
export async function firstDefect(
  directory: string,
  names: readonly string[],
): Promise<{ readonly name: string; readonly complaint: string } | null> {
  let name = '';
  let complaint: string | null = null;
  const files = names.map((each) => join(scenarioDirectory(directory), `${each}${SUFFIX}`));
  const args = [join(directory, 'test/simulation/mutants/play-scenarios.js'), ...files];
  const how = await runChild(args, SECONDS_MAX * 1000, (line) => {
    if (complaint !== null || !line.startsWith('{')) return;
    const told = JSON.parse(line) as { begins?: string; complaint?: string | null };
    if (told.begins !== undefined) name = basename(told.begins, SUFFIX);
    complaint = told.complaint ?? null;
  });
  complaint ??= how;
  return complaint === null ? null : { name, complaint };
}

function scenarioDirectory(directory: string): string {
  return join(directory, '../test/scenarios');
}
