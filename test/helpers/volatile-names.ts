import { constants } from 'node:fs';
import { OperationError } from '../../lib/fuse/errno.js';
import { type Attributes, ROOT_NODE, type Timestamp } from '../../lib/fuse/operations.js';
import type { VolatileFile } from './volatile-file.js';

const SECTOR_BYTES = 512;

interface Owner {
  mode: number;
  uid: number;
  gid: number;
}

interface Place {
  directory: DirectoryNode;
  name: string;
}

abstract class Inode {
  readonly node: number;
  mode: number;
  uid: number;
  gid: number;
  time: Timestamp;
  opens = 0;
  /** Where it is now, and where it is on disk; null where it is nowhere. Nothing has two names. */
  place: Place | null = null;
  durable: Place | null = null;
  /** What took its name. */
  replacedBy: Node | null = null;

  constructor(node: number, owner: Owner) {
    this.node = node;
    this.mode = owner.mode;
    this.uid = owner.uid;
    this.gid = owner.gid;
    this.time = now();
  }

  changed(): void {
    this.time = now();
  }
}

export class FileNode extends Inode {
  readonly file: VolatileFile;

  constructor(node: number, owner: Owner, file: VolatileFile) {
    super(node, owner);
    this.file = file;
  }
}

export class DirectoryNode extends Inode {
  readonly entries = new Map<string, Node>();
  readonly durableEntries = new Map<string, Node>();
}

export type Node = FileNode | DirectoryNode;

/** A tree of names, as it is and as it is on disk. */
export class VolatileNames {
  readonly #nodes = new Map<number, Node>();
  /** Those whose place on disk is another. */
  readonly #changed = new Set<Node>();
  readonly #root = new DirectoryNode(ROOT_NODE, { mode: constants.S_IFDIR | 0o755, uid: 0, gid: 0 });
  #next = ROOT_NODE + 1;

  constructor() {
    this.#nodes.set(ROOT_NODE, this.#root);
  }

  /** Throws ESTALE for one that is gone. */
  node(number: number): Node {
    const found = this.#nodes.get(number);
    if (!found) throw new OperationError('ESTALE');
    return found;
  }

  nodes(): Node[] {
    return [...this.#nodes.values()];
  }

  /** Nodes with a name that is not durable. */
  changed(): Node[] {
    return [...this.#changed];
  }

  bytes(): number {
    let bytes = 0;
    for (const node of this.#nodes.values()) if ('file' in node) bytes += node.file.bytes;
    return bytes;
  }

  add(directory: DirectoryNode, name: string, file: VolatileFile | null, owner: Owner): Node {
    const number = this.#next++;
    const made = file ? new FileNode(number, owner, file) : new DirectoryNode(number, owner);
    this.#nodes.set(number, made);
    this.#put(made, { directory, name });
    return made;
  }

  remove(node: Node): void {
    this.#put(node, null);
    this.#forget(node);
  }

  move(node: Node, directory: DirectoryNode, name: string): void {
    const replaced = directory.entries.get(name);
    if (replaced) {
      replaced.replacedBy = node;
      this.#put(replaced, null);
    }
    this.#put(node, { directory, name });
    if (replaced) this.#forget(replaced);
  }

  close(node: Node): void {
    node.opens--;
    this.#forget(node);
  }

  /** The names of a directory are on disk. */
  sync(directory: DirectoryNode): void {
    for (const node of this.#changed) {
      if (node.place?.directory === directory || node.durable?.directory === directory) this.settle(node);
    }
  }

  /** The node's name, or that it has none, is on disk. */
  settle(node: Node): void {
    if (!this.#changed.has(node)) return;
    // A rename takes the name of another in the same moment.
    if (!node.place && node.replacedBy?.place && this.#changed.has(node.replacedBy)) {
      this.settle(node.replacedBy);
      if (!this.#changed.has(node)) return;
    }
    this.#changed.delete(node);
    if (node.durable) node.durable.directory.durableEntries.delete(node.durable.name);
    node.durable = node.place;
    if (node.place) {
      const { directory, name } = node.place;
      const displaced = directory.durableEntries.get(name);
      directory.durableEntries.set(name, node);
      if (displaced) {
        displaced.durable = null;
        this.#compare(displaced);
        // It has another name by now, or none.
        this.settle(displaced);
        this.#forget(displaced);
      }
    }
    this.#forget(node);
  }

  /** The tree as it is on disk. */
  remains(): VolatileNames {
    const left = new VolatileNames();
    left.#next = this.#next;
    const copy = (from: DirectoryNode, to: DirectoryNode) => {
      for (const [name, node] of from.durableEntries) {
        const copied =
          'file' in node ? new FileNode(node.node, node, node.file.remains()) : new DirectoryNode(node.node, node);
        copied.place = { directory: to, name };
        copied.durable = copied.place;
        to.entries.set(name, copied);
        to.durableEntries.set(name, copied);
        left.#nodes.set(copied.node, copied);
        if ('entries' in node) copy(node, copied as DirectoryNode);
      }
    };
    copy(this.#root, left.#root);
    return left;
  }

  #put(node: Node, place: Place | null): void {
    node.place?.directory.entries.delete(node.place.name);
    node.place?.directory.changed();
    node.place = place;
    place?.directory.entries.set(place.name, node);
    place?.directory.changed();
    this.#compare(node);
  }

  #compare(node: Node): void {
    const { place, durable } = node;
    if (place?.directory === durable?.directory && place?.name === durable?.name) this.#changed.delete(node);
    else this.#changed.add(node);
  }

  /** Drops what has no name, on disk neither, and is not open. */
  #forget(node: Node): void {
    if (node.place || node.durable || node.opens > 0 || node === this.#root) return;
    this.#nodes.delete(node.node);
    this.#changed.delete(node);
    if (!('entries' in node)) return;
    for (const child of node.durableEntries.values()) {
      child.durable = null;
      this.#compare(child);
      this.#forget(child);
    }
    node.durableEntries.clear();
  }
}

export function attributesOf(node: Node): Attributes {
  const file = 'file' in node ? node.file : null;
  const links = 'entries' in node ? 2 : node.place ? 1 : 0;
  return {
    node: node.node,
    size: file?.size ?? 4096,
    blocks: (file?.bytes ?? 4096) / SECTOR_BYTES,
    mode: node.mode,
    links,
    uid: node.uid,
    gid: node.gid,
    atime: node.time,
    mtime: node.time,
    ctime: node.time,
  };
}

function now(): Timestamp {
  const microseconds = Math.round((performance.timeOrigin + performance.now()) * 1000);
  return { seconds: Math.floor(microseconds / 1e6), nanoseconds: (microseconds % 1e6) * 1000 };
}
