import { join } from 'node:path';
import { runChild } from './run-child.js';

/** Real time of a test file; a mutant that makes one hang is not let off. */
const SECONDS_MAX = 300;

/** Runs a test file of a build: what fails first, null where nothing does. */
export async function complaintOfTest(directory: string, name: string): Promise<string | null> {
  let complaint: string | null = null;
  const how = await runChild([join(directory, `test/${name}.test.js`)], SECONDS_MAX * 1000, (line) => {
    const found = /^ *not ok \d+ - (.*?)( # time.*)?$/.exec(line);
    complaint ??= found?.[1] ?? null;
  });
  return complaint ?? how;
}
