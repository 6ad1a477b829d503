/** The real control server before an administration in memory, and the real `dog` before the server. */
import { spawn } from 'node:child_process';
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
