/** Starts the real daemon for a test, on directories of its own, and makes sure that nothing of it outlives the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMounted, killGroup, mountedAt, temporaryDirectory, track, trackMount, unmount } from './cleanup.js';
import { childrenOf, executableOf, isRunning } from './proc.js';
import { RunError, type RunOptions, type RunResult, run } from './run.js';
import type { Teardowns } from './scope.js';
import { until } from './until.js';

const READY_DEADLINE_MS = 20_000;
/** A refusal needs no work. */
const REFUSAL_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 30_000;
/** Lines of stderr that are kept, the newest. */
const LINES_MAX = 10_000;

/** The program under test and what comes before its own options; the variable SHEEP names another one. */
export const SHEEP: readonly string[] = process.env.SHEEP
  ? [process.env.SHEEP]
  : [process.execPath, fileURLToPath(new URL('../../bin/sheep.js', import.meta.url))];

/** The command-line tool, in the same way; the variable DOG names another one. */
export const DOG: readonly string[] = process.env.DOG
  ? [process.env.DOG]
  : [process.execPath, fileURLToPath(new URL('../../bin/dog.js', import.meta.url))];

export interface SheepOptions {
  /** Directories, made when they are missing; new ones under the system's temporary directory unless given. */
  mount?: string;
  state?: string;
  /** `--disk` options; none by default, which leaves the choice to the daemon. */
  disks?: readonly string[];
  control?: string;
  fuse?: 'kernel' | 'native';
  env?: Record<string, string>;
  /** A command that becomes the command that follows it, such as nsenter; none by default. */
  through?: readonly string[];
  /** Further options, as they are. */
  args?: readonly string[];
}

export interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
}

/** A daemon that was started. */
export class Sheep {
  /** The supervisor. */
  readonly pid: number;
  readonly mount: string;
  readonly state: string;
  readonly control: string;
  /** What it has printed on stderr so far, the newest LINES_MAX lines. */
  readonly lines: string[] = [];
  readonly ended: Promise<Ended>;
  private end: Ended | null = null;

  constructor(child: ChildProcess, paths: { mount: string; state: string; control: string }) {
    if (child.pid === undefined) throw new Error('the daemon has no process id');
    this.pid = child.pid;
    this.mount = paths.mount;
    this.state = paths.state;
    this.control = paths.control;
    let rest = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      this.lines.push(...lines);
      if (this.lines.length > LINES_MAX) this.lines.splice(0, this.lines.length - LINES_MAX);
    });
    this.ended = new Promise((resolve) => {
      child.on('exit', (status, signal) => {
        this.end = { status, signal };
        resolve(this.end);
      });
    });
  }

  /** Waits for a line of stderr, from the `from`th on, that matches, and answers it. */
  waitFor(pattern: RegExp, { from = 0, deadlineMs = READY_DEADLINE_MS } = {}): Promise<string> {
    const find = () => this.lines.slice(from).find((line) => pattern.test(line));
    return until(
      `a line like ${pattern} of the daemon`,
      () => {
        const line = find();
        if (line === undefined && this.end) {
          throw new Error(`the daemon ended (${describe(this.end)}) without a line like ${pattern}\n${this.log()}`);
        }
        return line;
      },
      deadlineMs,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.log()}`);
    });
  }

  /** Waits until the mount can be used. */
  async waitReady(): Promise<void> {
    await this.waitFor(/\bready\b/i);
  }

  /** The worker that runs now; waits for one, other than `than` where given. */
  workerPid(than?: number): Promise<number> {
    return until('a worker', () =>
      childrenOf(this.pid)
        .filter((pid) => pid !== than && isRunning(pid) && executableOf(pid) === executableOf(this.pid))
        .at(-1),
    );
  }

  /** Kills the worker as a crash would, and answers the process id that it had. */
  async killWorker(): Promise<number> {
    const pid = await this.workerPid();
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  async killSupervisor(): Promise<void> {
    process.kill(this.pid, 'SIGKILL');
    await this.ended;
  }

  /** Asks the daemon to end, and answers how it did. */
  async stop(): Promise<Ended> {
    if (!this.end) process.kill(this.pid, 'SIGTERM');
    await until(`the daemon's end\n${this.log()}`, () => this.end, STOP_DEADLINE_MS);
    return this.ended;
  }

  isMounted(): boolean {
    return isMounted(this.mount);
  }

  /** The last lines that it printed, for a failure's message. */
  log(): string {
    return this.lines.slice(-40).join('\n');
  }

  /** Ends every process of the daemon at once and unmounts. */
  destroy(): void {
    killGroup(this.pid);
    unmount(this.mount);
  }
}

/** Starts a daemon and answers at once, whether it will be usable or not. */
export async function spawnSheep(t: Teardowns, options: SheepOptions = {}): Promise<Sheep> {
  const paths = await prepare(t, options);
  const [command, ...first] = [...(options.through ?? []), ...SHEEP];
  trackMount(paths.mount);
  const child = spawn(command!, [...first, ...argumentsOf(paths, options)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...options.env },
    // A process group of its own, to be killed as one.
    detached: true,
  });
  await new Promise((resolve, reject) => child.on('spawn', resolve).on('error', reject));
  track(child.pid!);
  const sheep = new Sheep(child, paths);
  t.teardown(() => sheep.destroy(), { force: true });
  return sheep;
}

/** Starts a daemon and waits until its mount can be used. */
export async function startSheep(t: Teardowns, options: SheepOptions = {}): Promise<Sheep> {
  const sheep = await spawnSheep(t, options);
  await sheep.waitReady();
  return sheep;
}

/**
 * Runs the daemon with these arguments alone, for one that is to be refused. One that goes on instead is killed, and
 * answered without an exit code.
 *
 * @param through a command that runs the command that follows it, such as setpriv.
 */
export async function runSheep(args: readonly string[], through: readonly string[] = []): Promise<RunResult> {
  const [command, ...first] = [...through, ...SHEEP];
  try {
    return await run(command!, [...first, ...args], { deadlineMs: REFUSAL_DEADLINE_MS });
  } catch (error) {
    if (!(error instanceof RunError) || error.code !== 'DEADLINE') throw error;
    return { status: null, signal: 'SIGKILL', stdout: '', stderr: error.message, elapsedMs: REFUSAL_DEADLINE_MS };
  }
}

/** Runs `dog` against a daemon. */
export function runDog(
  sheep: Pick<Sheep, 'control'>,
  args: readonly string[],
  options?: RunOptions,
): Promise<RunResult> {
  const [command, ...first] = DOG;
  return run(command!, [...first, '--control', sheep.control, ...args], options);
}

async function prepare(t: Teardowns, options: SheepOptions) {
  const base = await temporaryDirectory(t);
  const mount = options.mount ?? join(base, 'mount');
  const state = options.state ?? join(base, 'state');
  // A mount that a dead daemon left cannot even be looked at, and is the next daemon's to clear.
  const directories = mountedAt(mount).length > 0 ? [state] : [mount, state];
  for (const directory of [...directories, ...(options.disks ?? [])]) await mkdir(directory, { recursive: true });
  return { mount, state, control: options.control ?? join(base, 'sheep.sock') };
}

function argumentsOf(paths: { mount: string; state: string; control: string }, options: SheepOptions): string[] {
  const args = ['--mount', paths.mount, '--state', paths.state, '--control', paths.control];
  for (const disk of options.disks ?? []) args.push('--disk', disk);
  if (options.fuse) args.push('--fuse', options.fuse);
  return [...args, ...(options.args ?? [])];
}

function describe(end: Ended): string {
  return end.signal ?? `exit code ${end.status}`;
}
