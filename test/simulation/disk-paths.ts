import type { FileStats } from '../../lib/store/files.js';
import type { SimulatedDevice } from './disk-device.js';
import type { SimulatedDirectory, SimulatedNode } from './disk-directory.js';
import { systemError } from './disk-error.js';
import { PAGE_BYTES, type SimulatedFile } from './disk-file.js';
import type { Place } from './disk-mounts.js';

const BLOCKS_PER_PAGE = PAGE_BYTES / 512;

export function statsOf(device: SimulatedDevice, node: SimulatedNode): FileStats {
  const size = node.kind === 'file' ? node.size : 0;
  const blocks = node.kind === 'file' ? node.pages * BLOCKS_PER_PAGE : 0;
  return { size, blocks, dev: device.number, ino: node.inode };
}

export function lookUp(
  root: SimulatedDirectory,
  rest: string[],
  call: string,
  path: string,
): SimulatedNode | undefined {
  let node: SimulatedNode | undefined = root;
  for (const name of rest) {
    if (node === undefined) return undefined;
    if (node.kind !== 'directory') throw systemError('ENOTDIR', call, path);
    node = node.get(name);
  }
  return node;
}

export function find(path: string, { device, rest }: Place, call: string): SimulatedNode {
  const node = device && lookUp(device.root, rest, call, path);
  if (!node) throw systemError('ENOENT', call, path);
  return node;
}

export function parentOf(
  device: SimulatedDevice,
  path: string,
  { rest }: Place,
  call: string,
): { parent: SimulatedDirectory; name: string } {
  if (rest.length === 0) throw systemError('EBUSY', call, path);
  const parent = lookUp(device.root, rest.slice(0, -1), call, path);
  if (!parent) throw systemError('ENOENT', call, path);
  if (parent.kind !== 'directory') throw systemError('ENOTDIR', call, path);
  return { parent, name: rest[rest.length - 1]! };
}

export function unlinkFrom(
  device: SimulatedDevice,
  parent: SimulatedDirectory,
  name: string,
  node: SimulatedNode,
): void {
  parent.remove(name);
  if (node.kind === 'file') dropName(device, node);
  if (node.kind === 'directory') {
    for (const [inner, child] of [...node.entries]) unlinkFrom(device, node, inner, child);
  }
}

export function dropName(device: SimulatedDevice, file: SimulatedFile): void {
  file.names--;
  giveBack(device, file);
}

/** The pages of a file that nobody can reach any more are free. */
export function giveBack(device: SimulatedDevice, file: SimulatedFile): void {
  if (file.names === 0 && file.opens === 0) device.account.pages -= file.pages;
}
