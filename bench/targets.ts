/** What one host measures side by side, all on the same disk. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isMounted, killGroup, track, trackMount, unmount } from '../test/helpers/cleanup.js';
import { isRunning, treeOf } from '../test/helpers/proc.js';
import { SHEEP } from '../test/helpers/sheep.js';
import { until } from '../test/helpers/until.js';

export const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 60_000;

export interface Target {
  name: string;
  title: string;
  /** The file that is read and written. */
  file: string;
  /** Where further images can be made, or null. */
  directory: string | null;
  /** Processes that serve the file now. */
  processes(): number[];
  stop(): Promise<void>;
}

export type Start = (base: string) => Promise<Target>;

export const TARGETS: Readonly<Record<string, Start>> = {
  raw: startRaw,
  qsd: startQemuStorageDaemon,
  sheep1: (base) => startSheep(base, 1),
  sheep2: (base) => startSheep(base, 2),
};

/** A plain file. Its direct I/O goes to the disk itself; all others have the host's page cache below them. */
async function startRaw(base: string): Promise<Target> {
  await mkdir(base, { recursive: true });
  return {
    name: 'raw',
    title: 'raw file',
    file: join(base, 'vm.img'),
    directory: base,
    processes: () => [],
    stop: async () => {},
  };
}

async function startQemuStorageDaemon(base: string): Promise<Target> {
  await mkdir(base, { recursive: true });
  const backing = join(base, 'backing.img');
  const file = join(base, 'vm.img');
  await writeFile(backing, '');
  await writeFile(file, '');
  trackMount(file);
  const { child, said } = await launch('qemu-storage-daemon', [
    ...['--blockdev', `driver=file,node-name=file,filename=${backing}`],
    ...['--blockdev', 'driver=raw,node-name=raw,file=file'],
    ...['--export', `type=fuse,id=export,node-name=raw,mountpoint=${file},writable=on,growable=on`],
  ]);
  await until('the export', () => running(child, said) && isMounted(file), START_DEADLINE_MS);
  return {
    name: 'qsd',
    title: 'qemu-storage-daemon',
    file,
    directory: null,
    processes: () => treeOf(child.pid!),
    stop: () => stop(child, file),
  };
}

async function startSheep(base: string, disks: number): Promise<Target> {
  const mount = join(base, 'mount');
  await mkdir(mount, { recursive: true });
  trackMount(mount);
  const [command, ...first] = SHEEP;
  const args = [...first, '--mount', mount, '--state', join(base, 'state'), '--control', join(base, 'sheep.sock')];
  for (let disk = 1; disk <= disks; disk++) {
    const directory = join(base, `disk${disk}`);
    await mkdir(directory, { recursive: true });
    args.push('--disk', directory);
  }
  const { child, said } = await launch(command!, args);
  await until('the daemon to be ready', () => running(child, said) && /\bready\b/i.test(said()), START_DEADLINE_MS);
  return {
    name: `sheep${disks}`,
    title: disks === 1 ? 'sheep, 1 disk' : `sheep, ${disks} disks`,
    file: join(mount, 'vm.img'),
    directory: mount,
    processes: () => treeOf(child.pid!),
    stop: () => stop(child, mount),
  };
}

export async function launch(command: string, args: readonly string[]) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-10_000);
  });
  await new Promise((resolve, reject) => child.on('spawn', resolve).on('error', reject));
  track(child.pid!);
  return { child, said: () => text };
}

export function running(child: ChildProcess, said: () => string): boolean {
  if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended: ${said()}`);
  return true;
}

export async function stop(child: ChildProcess, mount: string): Promise<void> {
  child.kill('SIGTERM');
  await until(`the end of ${child.spawnfile}`, () => !isRunning(child.pid!), STOP_DEADLINE_MS);
  killGroup(child.pid!);
  unmount(mount);
}
