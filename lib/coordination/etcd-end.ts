import { setTimeout as pause } from 'node:timers/promises';
import { EtcdError } from './etcd-error.js';
import { isRunning, type RunningProcess } from './etcd-running.js';

/** To end by itself when asked to: it hands its leadership over first. */
const STOP_MS_MAX = 10_000;
const STOP_LOOK_MS = 50;

/** Asks it to end, and ends it when it does not. Throws EtcdError NOT_ENDED. */
export async function endProcess(running: RunningProcess): Promise<void> {
  for (const [signal, waitMs] of [
    ['SIGTERM', STOP_MS_MAX],
    ['SIGKILL', STOP_MS_MAX],
  ] as const) {
    if (!(await isRunning(running))) return;
    kill(running.pid, signal);
    const end = performance.now() + waitMs;
    while (performance.now() < end && (await isRunning(running))) await pause(STOP_LOOK_MS);
  }
  if (await isRunning(running)) throw new EtcdError('NOT_ENDED', `etcd, process ${running.pid}, cannot be ended`);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
