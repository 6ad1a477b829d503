/** qemu's tools as a guest's disk sees them: raw images, no host cache. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Assertions } from 'brittle';
import { killGroup, track } from './cleanup.js';
import { type RunResult, run } from './run.js';
import { until } from './until.js';

/** Runs qemu-io's commands one after another on one open image. Its exit code does not tell of failed patterns. */
export function qemuIo(image: string, commands: readonly string[], options: readonly string[] = []) {
  const args = ['-f', 'raw', '-t', 'none', ...options, ...commands.flatMap((command) => ['-c', command]), image];
  return run('qemu-io', args);
}

/** Whether qemu-io did everything that it was told, with every pattern as expected. */
export function succeeded(result: RunResult): boolean {
  const text = result.stdout + result.stderr;
  return result.status === 0 && !/failed|error|Invalid|not permitted|No space/i.test(text);
}

/** Asserts that qemu-io did everything, and prints what it said when not. */
export function assertSucceeded(t: Assertions, result: RunResult, message: string): void {
  const good = succeeded(result);
  if (!good) t.comment(result.stdout + result.stderr);
  t.ok(good, message);
}

/** A qemu process that keeps an image open for writing. */
export interface Holder {
  process: ChildProcess;
  /** Ends it as kill -9 does, and waits until it is gone. */
  kill(): Promise<void>;
}

/** A whole virtual machine, not running, with the image as its disk. */
export function holdWithGuest(t: Assertions, image: string): Promise<Holder> {
  // The greeting comes before the drive is locked; an answer comes only when the whole machine is there.
  return hold(t, 'qemu-system-x86_64', guestArguments(image), /"return"/, '{"execute":"qmp_capabilities"}\n');
}

/** Tries to start a machine on an image that it should not get, and answers what it says before it ends. */
export function tryGuest(image: string): Promise<RunResult> {
  return run('qemu-system-x86_64', guestArguments(image), { deadlineMs: 20_000 });
}

function guestArguments(image: string): string[] {
  const drive = `file=${image},format=raw,cache=none,if=virtio`;
  return ['-accel', 'tcg', '-m', '64', '-nodefaults', '-display', 'none', '-S', '-qmp', 'stdio', '-drive', drive];
}

async function hold(
  t: Assertions,
  command: string,
  args: readonly string[],
  ready: RegExp,
  said = '',
): Promise<Holder> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  let output = '';
  const gone = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  await new Promise((resolve, reject) => child.on('spawn', resolve).on('error', reject));
  const group = child.pid!;
  track(group);
  t.teardown(() => killGroup(group), { order: -1, force: true });
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  if (said) child.stdin.write(said);
  await until(`${command} to have ${args.at(-1)} open`, () => {
    if (child.exitCode !== null) throw new Error(`${command} ended: ${output}`);
    return ready.test(output);
  });
  const kill = () => {
    killGroup(group);
    return gone;
  };
  return { process: child, kill };
}
