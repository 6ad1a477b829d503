/** A real Linux guest under qemu, without hardware virtualization, that runs a shell script and powers off. */
import { spawn } from 'node:child_process';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Assertions } from 'brittle';
import { killGroup, temporaryDirectory, track } from './cleanup.js';
import { findKernel, type Kernel, modulesFor } from './kernel.js';
import { must, run } from './run.js';
import { until } from './until.js';

const BOOT_DEADLINE_MS = 120_000;
const MODULES = ['virtio_pci', 'virtio_blk', 'ext4', 'crc32c_generic'];
/** Programs of the host that the guest gets, with their libraries. By name, its shell prefers busybox's own. */
const PROGRAMS = ['/sbin/mke2fs', '/sbin/e2fsck'];

/** The guest's first process. What follows it is the test's own script. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /mnt /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
ln -s /proc/mounts /etc/mtab
for module in $(cat /modules.order); do insmod "/modules/$module"; done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
if sh -e /script.sh; then echo GUEST-OK; else echo GUEST-FAILED; fi
sync
poweroff -f
`;

export interface GuestOptions {
  /** Path of the image that is the guest's /dev/vda. */
  image: string;
  /** Shell commands; the first that fails ends the script. */
  script: string;
  /** qemu's options for the drive, after file, format and cache. */
  drive?: string;
  /** Further options of qemu. */
  args?: readonly string[];
  /** A command that becomes qemu, such as nsenter; none by default. */
  through?: readonly string[];
}

/** A guest that was started. */
export interface Guest {
  /** All that it has written on its serial console so far. */
  console(): string;
  /** Waits until the console shows this. */
  waitFor(pattern: RegExp): Promise<void>;
  /** Waits until the guest powered off; answers the console. */
  ended: Promise<string>;
}

/** Boots a guest; it is killed at the test's end if it still runs. */
export async function bootGuest(t: Assertions, options: GuestOptions): Promise<Guest> {
  const directory = await temporaryDirectory(t);
  const kernel = await findKernel();
  const initrd = await buildInitrd(directory, kernel, options.script);
  const drive = ['format=raw', 'cache=none', 'if=virtio', options.drive].filter(Boolean).join(',');
  const args = [
    ...['-accel', 'tcg', '-m', '256', '-nodefaults', '-display', 'none', '-serial', 'stdio', '-no-reboot'],
    ...['-kernel', kernel.image, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1 quiet'],
    ...['-drive', `file=${options.image},${drive}`],
    ...(options.args ?? []),
  ];
  const [command, ...first] = [...(options.through ?? []), 'qemu-system-x86_64'];
  const child = spawn(command!, [...first, ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  await new Promise((resolve, reject) => child.on('spawn', resolve).on('error', reject));
  const group = child.pid!;
  track(group);
  t.teardown(() => killGroup(group), { order: -1, force: true });

  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the guest did not power off in time:\n${text}`)), BOOT_DEADLINE_MS);
  });
  const end = Promise.race([ended, late])
    .finally(() => clearTimeout(timer))
    .then(() => text);
  // Whoever waits for something else first sees the error when it asks for the end.
  end.catch(() => {});
  return {
    console: () => text,
    waitFor: async (pattern) => {
      await until(
        `${pattern} on the console`,
        () => {
          if (pattern.test(text)) return true;
          if (child.exitCode !== null) throw new Error(`the guest ended without ${pattern}:\n${text}`);
          return false;
        },
        BOOT_DEADLINE_MS,
      );
    },
    ended: end,
  };
}

async function buildInitrd(directory: string, kernel: Kernel, script: string): Promise<string> {
  const root = join(directory, 'root');
  for (const path of ['bin', 'sbin', 'etc', 'modules']) await mkdir(join(root, path), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin/busybox'));
  for (const program of PROGRAMS) await copyWithLibraries(program, root);
  const modules = modulesFor(kernel, MODULES);
  for (const path of modules) await copyFile(path, join(root, 'modules', basename(path)));
  await writeFile(join(root, 'modules.order'), `${modules.map((path) => basename(path)).join('\n')}\n`);
  await writeFile(join(root, 'script.sh'), script);
  await writeFile(join(root, 'init'), INIT);
  await chmod(join(root, 'init'), 0o755);
  const initrd = join(directory, 'initrd');
  await must('sh', ['-c', 'find . | cpio --quiet -o -H newc > "$0"', initrd], { cwd: root });
  return initrd;
}

async function copyWithLibraries(program: string, root: string): Promise<void> {
  // A static program has no libraries, and ldd fails.
  const { stdout } = await run('ldd', [program]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
  for (const path of [program, ...libraries]) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await writeFile(join(root, path), await readFile(path), { mode: 0o755 });
  }
}
