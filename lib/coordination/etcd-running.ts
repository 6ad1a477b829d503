import { readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ETCD_BINARY } from './etcd-binary.js';

const RECORD_NAME = 'pid';
/** Fields of /proc/<pid>/stat after the name in brackets. */
const STATE_FIELD = 0;
const START_FIELD = 19;

/** A process that cannot be taken for a later one of the same number. */
export interface RunningProcess {
  pid: number;
  /** Ticks from the boot to its start. */
  startTicks: string;
}

/** Whether it still runs; one that has ended and that nobody has waited for does not. */
export async function isRunning(process: RunningProcess): Promise<boolean> {
  return (await startTicksOf(process.pid)) === process.startTicks;
}

/** Null when no process has the number. */
export async function processOf(pid: number): Promise<RunningProcess | null> {
  const startTicks = await startTicksOf(pid);
  return startTicks === null ? null : { pid, startTicks };
}

/** Null when it is gone. */
export async function commandLineOf({ pid }: RunningProcess): Promise<string[] | null> {
  const line = await readProc(pid, 'cmdline');
  return line === null || line === '' ? null : line.split('\0').slice(0, -1);
}

/**
 * The etcd that runs in this directory, whoever started it: the one on record, or, should whoever started it have died
 * before it could write that down, any whose working directory it is.
 */
export async function findEtcd(directory: string): Promise<RunningProcess | null> {
  const recorded = await readRecord(directory);
  if (recorded && (await isRunning(recorded)) && (await runsEtcdIn(recorded.pid, directory))) return recorded;
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (Number.isInteger(pid) && (await runsEtcdIn(pid, directory))) return processOf(pid);
  }
  return null;
}

export async function writeRecord(directory: string, process: RunningProcess): Promise<void> {
  await writeFile(join(directory, RECORD_NAME), `${process.pid} ${process.startTicks}\n`);
}

export async function removeRecord(directory: string): Promise<void> {
  await rm(join(directory, RECORD_NAME), { force: true });
}

async function readRecord(directory: string): Promise<RunningProcess | null> {
  let record: string;
  try {
    record = await readFile(join(directory, RECORD_NAME), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  // Cut short by a power cut, it names no process.
  const [pid, startTicks] = record.trim().split(' ');
  return startTicks === undefined ? null : { pid: Number(pid), startTicks };
}

async function runsEtcdIn(pid: number, directory: string): Promise<boolean> {
  const [program] = (await readProc(pid, 'cmdline'))?.split('\0') ?? [];
  if (program === undefined || basename(program) !== ETCD_BINARY || (await startTicksOf(pid)) === null) return false;
  try {
    return (await readlink(`/proc/${pid}/cwd`)) === (await realpath(directory));
  } catch {
    // It has ended, or is not ours to look at.
    return false;
  }
}

async function startTicksOf(pid: number): Promise<string | null> {
  const stat = await readProc(pid, 'stat');
  if (stat === null) return null;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ['Z', 'X'].includes(fields[STATE_FIELD]!) ? null : fields[START_FIELD]!;
}

async function readProc(pid: number, file: string): Promise<string | null> {
  try {
    return await readFile(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // It has ended.
    return null;
  }
}
