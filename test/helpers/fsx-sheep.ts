/** Random operations from a seed over the daemon itself, in a process beside it. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Assertions } from 'brittle';
import { temporaryDirectory } from './cleanup.js';
import { must } from './run.js';
import { type Sheep, startSheep } from './sheep.js';

const PROGRAM = fileURLToPath(new URL('./fsx-process.js', import.meta.url));
/** The variables FSX_SHARE, a fraction of the operations, and FSX_SEED make other runs. */
const SHARE = Number(process.env.FSX_SHARE ?? 1);
export const SEED = Number(process.env.FSX_SEED ?? 1);
/** The machine may have other things to do. */
export const DEADLINE_MS = 30 * 60_000;

export async function startOnTwoDisks(t: Assertions, fuse: 'kernel' | 'native'): Promise<Sheep> {
  const base = await temporaryDirectory(t);
  return startSheep(t, { fuse, disks: [join(base, 'disk-1'), join(base, 'disk-2')] });
}

/** Runs that many operations on a file of the mount; throws with the seed and the last ones where it went wrong. */
export async function exercise(
  t: Assertions,
  sheep: Sheep,
  options: { name: string; seed: number; operations: number; fuse?: 'kernel' | 'native' },
): Promise<void> {
  const { name, seed, fuse = 'kernel' } = options;
  const operations = Math.max(1, Math.round(options.operations * SHARE));
  const args = [PROGRAM, join(sheep.mount, name), String(seed), String(operations), fuse];
  const { stdout } = await must(process.execPath, args, { deadlineMs: DEADLINE_MS }).catch((error) => {
    error.message += `\nwhat the daemon said:\n${sheep.log()}`;
    throw error;
  });
  t.pass(`${name}: seed ${seed}, ${operations} operations: ${stdout.trim()}`);
}

export async function endsWell(t: Assertions, sheep: Sheep): Promise<void> {
  t.is((await sheep.stop()).status, 0);
  const bad = sheep.lines.filter((line) => /defect|failed|EIO/i.test(line));
  t.is(bad.length, 0, `no defect ${bad.slice(0, 3).join('\n')}`);
}
