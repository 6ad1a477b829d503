import { spawn } from 'node:child_process';
import { track, untrack } from './cleanup.js';

/** Bytes of each of stdout and stderr that are kept; the rest is dropped. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const DEADLINE_MS = 60_000;

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Written to the program's standard input, which is then closed. */
  input?: string | Uint8Array;
  /** Milliseconds until the program is killed and the call fails. */
  deadlineMs?: number;
}

export interface RunResult {
  /** Exit code, or null when a signal ended the program. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Milliseconds from start to end. */
  elapsedMs: number;
}

export type RunErrorCode = 'DEADLINE' | 'FAILED';

export class RunError extends Error {
  readonly code: RunErrorCode;

  constructor(code: RunErrorCode, message: string) {
    super(message);
    this.name = 'RunError';
    this.code = code;
  }
}

/**
 * Runs a program to its end and answers how it went, whatever its exit code.
 *
 * @throws RunError DEADLINE when it did not end in time (its whole process group is killed); the spawn's own error when
 *   it cannot be started.
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const group = child.pid;
    if (group !== undefined) track(group);
    const stdout = new Output();
    const stderr = new Output();
    child.stdout.on('data', (chunk: Buffer) => stdout.add(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.add(chunk));
    // A program that ends without reading its input is no error of ours.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      if (group !== undefined) process.kill(-group, 'SIGKILL');
    }, deadlineMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      if (group !== undefined) untrack(group);
      const result = {
        status,
        signal,
        stdout: stdout.text(),
        stderr: stderr.text(),
        elapsedMs: performance.now() - start,
      };
      if (!late) return resolve(result);
      reject(
        new RunError('DEADLINE', `${describe(command, args)} took more than ${deadlineMs} ms\n${tail(result.stderr)}`),
      );
    });
  });
}

/**
 * Runs a program that has to succeed.
 *
 * @throws RunError FAILED with what it printed when its exit code is not 0, and as `run` does.
 */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await run(command, args, options);
  if (result.status === 0) return result;
  const how = result.signal ?? `exit code ${result.status}`;
  throw new RunError(
    'FAILED',
    `${describe(command, args)}: ${how}\n${tail(result.stdout)}${tail(result.stderr)}`.trimEnd(),
  );
}

class Output {
  private readonly chunks: Buffer[] = [];
  private bytes = 0;

  add(chunk: Buffer): void {
    if (this.bytes >= OUTPUT_BYTES_MAX) return;
    this.chunks.push(chunk);
    this.bytes += chunk.length;
  }

  text(): string {
    return Buffer.concat(this.chunks).toString('utf8');
  }
}

function describe(command: string, args: readonly string[]): string {
  return [command, ...args].join(' ');
}

function tail(text: string): string {
  return text.length > 4000 ? `...${text.slice(-4000)}` : text;
}
