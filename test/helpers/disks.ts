import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Assertions } from 'brittle';
import type { Chain, ChainLayer } from '../../lib/replication/object-io.js';
import { Disk, type DiskOptions } from '../../lib/store/index.js';
import { temporaryDirectory, trackMount, unmount } from './cleanup.js';
import type { DiskObjects } from './disk-objects.js';

export const IDENTITY = { cluster: 'test-cluster', host: 'test-host' };
export const GROUPS = 16;

/** A small file system of its own, that can be filled up. */
export async function smallFilesystem(t: Assertions, megabytes: number): Promise<string> {
  const path = await temporaryDirectory(t);
  trackMount(path);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'sheep-test', path]);
  if (mounted.status !== 0) throw new Error(`mount: ${mounted.stderr}`);
  t.teardown(() => unmount(path), { order: 500, force: true });
  return path;
}

/** A new disk, open. */
export async function newDisk(t: Assertions, options: DiskOptions = {}, number = 1, path?: string): Promise<Disk> {
  const directory = path ?? (await temporaryDirectory(t));
  await Disk.format(directory, { ...IDENTITY, disk: number });
  return openDisk(t, directory, options);
}

export async function openDisk(t: Assertions, directory: string, options: DiskOptions = {}): Promise<Disk> {
  const disk = await Disk.open(directory, IDENTITY, options);
  t.teardown(() => disk.close(), { order: 10, force: true });
  return disk;
}

/**
 * A copy of an open disk's directory: what a process that is killed now would leave. No operation is under way on it.
 */
export async function killedCopy(t: Assertions, disk: Disk): Promise<string> {
  const directory = await temporaryDirectory(t);
  const copied = spawnSync('cp', ['-a', '--sparse=always', `${disk.directory}/.`, directory]);
  if (copied.status !== 0) throw new Error(`cp: ${copied.stderr}`);
  // It belongs to the processes that have the other one open.
  await rm(join(directory, 'index', 'lock.mdb'));
  return directory;
}

export function groupOf(family: number, index: number): number {
  return (family * 7 + index) % GROUPS;
}

/** What the file system says that the layer's files have, in bytes. Its groups are those of `groupOf`. */
export function allocatedBytes(disk: Disk, family: number, layer: number): number {
  let bytes = 0;
  for (const object of disk.index.scan(family, 0, 2 ** 32, 1e6)) {
    if (object.layer !== layer || object.serial === 0) continue;
    const { blocks } = statSync(disk.files.path(groupOf(family, object.index), family, object.index, object.serial));
    bytes += Math.max(1, Math.ceil((blocks * 512) / 4096)) * 4096;
  }
  return bytes;
}

/** A view of layers, newest first; those without a limit show all that lies below them. */
export function chainOf(family: number, ...layers: (number | ChainLayer)[]): Chain {
  return {
    family,
    layers: layers.map((layer) => (typeof layer === 'number' ? { layer, limit: Number.MAX_SAFE_INTEGER } : layer)),
  };
}

/** Reads into a buffer that held something else before. */
export async function readAt(
  objects: DiskObjects,
  chain: Chain,
  index: number,
  offset: number,
  length: number,
): Promise<Buffer> {
  const target = Buffer.alloc(length, 0xee);
  await objects.read(chain, index, offset, target);
  return target;
}
