/**
 * What a test file leaves behind when it dies half way (an uncaught error, a deadline) is put away here, in the exit
 * handler, where only synchronous calls work: processes first, then network namespaces, mounts, and directories.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Teardowns } from './scope.js';

const TEARDOWN_LAST = 1000;
/** Where `ip netns` keeps its names. */
const NAMESPACES = '/run/netns';

const groups = new Set<number>();
const namespaces = new Set<string>();
const mounts = new Set<string>();
const directories = new Set<string>();

process.on('exit', () => {
  for (const group of groups) killGroup(group);
  for (const namespace of namespaces) removeNamespace(namespace);
  for (const mount of mounts) unmount(mount);
  for (const directory of directories) remove(directory);
});
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => process.exit(code));
}

/** The process group is killed when this process ends. */
export function track(group: number): void {
  groups.add(group);
}

export function untrack(group: number): void {
  groups.delete(group);
}

/** Kills every process of a group that `track` was told of. A group that is gone already is fine. */
export function killGroup(group: number): void {
  groups.delete(group);
  killProcess(-group);
}

/** The network namespace, and every process in it, goes when this process ends. */
export function trackNamespace(name: string): void {
  namespaces.add(name);
}

/** Kills every process in a network namespace and takes its name away, with which it ends. One that is gone is fine. */
export function removeNamespace(name: string): void {
  namespaces.delete(name);
  for (const pid of processesIn(name)) killProcess(pid);
  if (!namespaceNames().includes(name)) return;
  const { status, stderr } = spawnSync('ip', ['netns', 'del', name], { encoding: 'utf8' });
  if (status !== 0) process.stderr.write(`# cannot remove the network namespace ${name}: ${stderr}`);
}

/** Processes in a network namespace; none where there is no such namespace. */
export function processesIn(namespace: string): number[] {
  const { stdout } = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' });
  return stdout.split('\n').filter(Boolean).map(Number);
}

/** Names of all network namespaces that have one. */
export function namespaceNames(): string[] {
  return existsSync(NAMESPACES) ? readdirSync(NAMESPACES) : [];
}

/** One that is gone already is fine. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whatever gets mounted there is unmounted when this process ends. */
export function trackMount(directory: string): void {
  mounts.add(directory);
}

/** Whether something is mounted at exactly this path. */
export function isMounted(directory: string): boolean {
  return mountTable().some(({ path }) => path === directory);
}

/** File system types mounted at exactly this path, the lowest first. */
export function mountedAt(directory: string): string[] {
  return mountTable()
    .filter(({ path }) => path === directory)
    .map(({ type }) => type);
}

/** Paths below a directory at which something is mounted, the last mounted first. */
export function mountsBelow(directory: string): string[] {
  return mountPoints().filter((path) => path.startsWith(`${directory}/`));
}

/** Paths at which something is mounted, the last mounted first. */
export function mountPoints(): string[] {
  return mountTable()
    .map(({ path }) => path)
    .reverse();
}

function mountTable(): { path: string; type: string }[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const [before, after] = line.split(' - ');
    // Blanks and backslashes in paths are written as octal numbers.
    const decode = (text: string) => text.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
    return { path: decode(before?.split(' ')[4] ?? ''), type: after?.split(' ')[0] ?? '' };
  });
}

/** Takes away all that is mounted at the path, even when its server is dead or it is in use. */
export function unmount(directory: string): void {
  mounts.delete(directory);
  while (isMounted(directory)) {
    const { status, stderr } = spawnSync('umount', ['-l', directory], { encoding: 'utf8' });
    if (status !== 0) {
      process.stderr.write(`# cannot unmount ${directory}: ${stderr}`);
      return;
    }
  }
}

/** A new directory that the test's end removes. */
export async function temporaryDirectory(t: Teardowns, prefix = 'sheep-'): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  directories.add(directory);
  // After everything else: what is mounted or running in it must be gone. Forced: also when the test threw.
  t.teardown(() => remove(directory), { order: TEARDOWN_LAST, force: true });
  return directory;
}

function remove(directory: string): void {
  directories.delete(directory);
  // Not fs.rm: should a mount be left in there, its content must not be deleted.
  spawnSync('rm', ['-rf', '--one-file-system', directory]);
}
