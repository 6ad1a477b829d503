/** A process of `run-scenarios.ts`: plays the scenarios of these files, and says of each what went wrong. */
import { readFileSync } from 'node:fs';
import { defectOf } from '../scenario/play.js';
import { parseScript } from '../scenario/script.js';
import { ScriptError } from '../scenario/script-error.js';

for (const file of process.argv.slice(2)) {
  // Before it is played: it may end this process.
  console.log(JSON.stringify({ begins: file }));
  console.log(JSON.stringify({ file, complaint: await complaintOf(file) }));
}

async function complaintOf(file: string): Promise<string | null> {
  try {
    return await defectOf(parseScript(readFileSync(file, 'utf8')));
  } catch (error) {
    // What it wanted to happen does not come to pass: nothing is known of that.
    if (error instanceof ScriptError) return null;
    throw error;
  }
}
