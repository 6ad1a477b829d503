/** The real control server before an administration in memory, and the real `dog` before the server. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Assertions } from 'brittle';
import { Metrics } from '../../lib/control/metrics.js';
import { ControlServer } from '../../lib/control/server.js';
import { killGroup, temporaryDirectory, track } from './cleanup.js';
import { MemoryAdministration } from './memory-administration.js';
import { type RunOptions, type RunResult, run } from './run.js';
import { DOG } from './sheep.js';
import { until } from './until.js';

export interface Control {
  path: string;
  directory: string;
  administration: MemoryAdministration;
  metrics: Metrics;
  server: ControlServer;
  /** Errors that the server took for defects. */
  defects: unknown[];
  dog(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Runs a shell command in which "$@" is dog on this control socket. */
  shell(command: string): Promise<RunResult>;
}

export async function openControl(t: Assertions): Promise<Control> {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'sheep.sock');
  const defects: unknown[] = [];
  const onDefect = (error: unknown) => void defects.push(error);
  const administration = new MemoryAdministration(onDefect);
  const metrics = new Metrics();
  const server = await ControlServer.open({ path, administration, metrics, onDefect });
  t.teardown(() => server.close(), { force: true });
  return {
    path,
    directory,
    administration,
    metrics,
    server,
    defects,
    dog: (args, options) => dogOn(path, args, options),
    shell: (command) => run('bash', ['-c', command, 'bash', ...DOG, '--control', path], { cwd: directory }),
  };
}

export function dogOn(path: string, args: readonly string[], options?: RunOptions): Promise<RunResult> {
  const [command, ...first] = DOG;
  return run(command!, [...first, '--control', path, ...args], options);
}

/** For tests that start many processes, on a machine that may have other things to do. */
export const STARTS = { timeout: 120_000 };

/** What a refusal looks like: this exit code, nothing on standard output, one line on standard error. */
export function refusal(result: RunResult): { status: number | null; lines: number; stdout: string } {
  return { status: result.status, lines: result.stderr.split('\n').length - 1, stdout: result.stdout };
}
export const REFUSED = { status: 1, lines: 1, stdout: '' };
export const USAGE = { status: 2, lines: 1, stdout: '' };

/** Connections to the control socket that somebody holds. */
export async function openRequests(path: string): Promise<number> {
  const sockets = (await readFile('/proc/net/unix', 'utf8')).split('\n').filter((line) => line.endsWith(` ${path}`));
  // State 03 is connected; the listening socket is in 01.
  return sockets.filter((line) => line.split(/\s+/)[5] === '03').length;
}

/** A control server in a process of its own, whose long work never ends. */
export async function spawnControl(t: Assertions): Promise<{ path: string; kill: () => void }> {
  const path = join(await temporaryDirectory(t), 'sheep.sock');
  const program = fileURLToPath(new URL('./control-daemon.js', import.meta.url));
  const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  track(child.pid!);
  t.teardown(() => killGroup(child.pid!), { force: true });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  await until('the control server', () => output.includes('ready'));
  return { path, kill: () => killGroup(child.pid!) };
}
