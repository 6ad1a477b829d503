/** A Linux kernel for test guests, taken from Debian's package without installing it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { must, run } from './run.js';

/** Depends on the current kernel's package. Installing it would change what the machine boots. */
const META_PACKAGE = 'linux-image-cloud-amd64';
const DOWNLOAD_DEADLINE_MS = 180_000;

export interface Kernel {
  /** Path of the image to boot. */
  image: string;
  /** Directory with its modules. */
  modules: string;
}

/**
 * The newest kernel of the package that is installed, cached or else can be downloaded.
 *
 * @throws RunError when it must be downloaded and cannot.
 */
export async function findKernel(): Promise<Kernel> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sheepdog-test', 'kernel');
  return kernelIn('/') ?? kernelIn(cache) ?? downloadKernel(cache);
}

/** Paths of the modules with those that they need, in the order in which they have to be loaded. */
export function modulesFor(kernel: Kernel, names: readonly string[]): string[] {
  const paths = new Map<string, string>();
  for (const entry of readdirSync(kernel.modules, { recursive: true, encoding: 'utf8' })) {
    if (entry.endsWith('.ko')) paths.set(moduleName(entry), join(kernel.modules, entry));
  }
  const order: string[] = [];
  const add = (name: string) => {
    const path = paths.get(name);
    // Not there: it is part of the kernel itself.
    if (path === undefined || order.includes(path)) return;
    for (const dependency of dependenciesOf(path)) add(dependency);
    order.push(path);
  };
  names.forEach(add);
  return order;
}

function kernelIn(root: string): Kernel | null {
  const boot = join(root, 'boot');
  if (!existsSync(boot)) return null;
  const image = readdirSync(boot)
    .filter((name) => /^vmlinuz-.*-cloud-amd64$/.test(name))
    .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))
    .at(-1);
  if (image === undefined) return null;
  const modules = join(root, 'lib/modules', image.slice('vmlinuz-'.length));
  return existsSync(modules) ? { image: join(boot, image), modules } : null;
}

async function downloadKernel(cache: string): Promise<Kernel> {
  await mkdir(join(cache, '..'), { recursive: true });
  const unfinished = await mkdtemp(`${cache}-`);
  try {
    if (!(await tryDownload(unfinished))) {
      // The lists of packages are missing, or name a version that is gone.
      await must('apt-get', ['update'], { deadlineMs: DOWNLOAD_DEADLINE_MS });
      if (!(await tryDownload(unfinished))) throw new Error(`the package of ${META_PACKAGE} cannot be downloaded`);
    }
    const archive = readdirSync(unfinished).find((entry) => entry.endsWith('.deb'));
    await must('dpkg-deb', ['-x', join(unfinished, archive!), unfinished]);
    await rm(join(unfinished, archive!));
    await rm(cache, { recursive: true, force: true });
    // Other runs see a whole kernel or none.
    await rename(unfinished, cache);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  const kernel = kernelIn(cache);
  if (!kernel) throw new Error(`there is no kernel in the package that ${META_PACKAGE} depends on`);
  return kernel;
}

async function tryDownload(directory: string): Promise<boolean> {
  const { stdout } = await run('apt-cache', ['depends', '--important', META_PACKAGE]);
  const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  if (name === undefined) return false;
  const { status } = await run('apt-get', ['download', name], { cwd: directory, deadlineMs: DOWNLOAD_DEADLINE_MS });
  return status === 0;
}

/** What a module says that it depends on, in its section .modinfo. */
function dependenciesOf(path: string): string[] {
  const list = /\0depends=([^\0]*)\0/.exec(readFileSync(path, 'latin1'))?.[1] ?? '';
  return list.split(',').filter(Boolean).map(moduleName);
}

function moduleName(path: string): string {
  return basename(path, '.ko').replaceAll('-', '_');
}
