import type { Random } from '../helpers/random.js';
import { SimulatedDatabase } from './disk-database.js';
import { SimulatedDirectory, type SimulatedNode } from './disk-directory.js';
import { PAGE_BYTES, type PageAccount, SimulatedFile } from './disk-file.js';

/** What a device does, by how long it takes and how it fails. */
export type DeviceWork = 'read' | 'write' | 'sync' | 'name' | 'commit';

/** An error's code; or the work does not end until the device is mended. */
export type DeviceFault = 'EIO' | 'ENOSPC' | 'EROFS' | 'ENODEV' | 'hang';

/** How long work takes: at least and at most. */
export type DeviceLatency = Record<DeviceWork, readonly [minMs: number, maxMs: number]>;

export interface DeviceOptions {
  /** For how long its work takes. */
  random: Random;
  capacityBytes?: number;
  latency?: Partial<DeviceLatency>;
  /** Whether files can share blocks. */
  clones?: boolean;
}

/** A copy of all that was on a device, to be put back later. */
export interface DeviceImage {
  readonly root: SimulatedDirectory;
  readonly inodeNext: number;
}

const CAPACITY_BYTES = 1024 ** 3;
const ROOT_INODE = 2;
/** Most work is done in the page cache. */
const LATENCY: DeviceLatency = {
  read: [0.01, 0.3],
  write: [0.01, 0.2],
  sync: [0.3, 6],
  name: [0.01, 0.1],
  commit: [0.02, 0.4],
};
let deviceNext = 1;

/**
 * A disk with its file system: a tree of directories, files and databases. It outlives the processes that use it.
 *
 * What a power cut does to it: of each file, what was written since the last fdatasync is kept, lost, or kept in some
 * sectors of 512 bytes; a size that was changed likewise. Of each directory, a name that was made, removed or renamed
 * since the last fsync is kept or lost. A database goes back to the last commit that was synced or any later one.
 *
 * What the end of a process does: nothing that was answered is lost; of what was under way, each call was carried out
 * or not, and a write in its first sectors only.
 */
export class SimulatedDevice {
  /** st_dev. */
  readonly number = deviceNext++;
  readonly clones: boolean;
  readonly account: PageAccount = { pages: 0 };
  capacityBytes: number;
  /** Raised when what processes have open of it becomes void. */
  attachment = 0;
  /** Taken by what is none of ours. */
  othersBytes = 0;
  readonly #random: Random;
  readonly #latency: DeviceLatency;
  #root = new SimulatedDirectory(ROOT_INODE);
  #inodeNext = ROOT_INODE + 1;
  readonly #faults = new Map<DeviceWork, { fault: DeviceFault; times: number }>();
  #hanging: (() => void)[] = [];

  constructor(options: DeviceOptions) {
    this.#random = options.random;
    this.capacityBytes = options.capacityBytes ?? CAPACITY_BYTES;
    this.#latency = { ...LATENCY, ...options.latency };
    this.clones = options.clones ?? false;
  }

  get root(): SimulatedDirectory {
    return this.#root;
  }

  get pagesFree(): number {
    return Math.max(0, Math.floor((this.capacityBytes - this.othersBytes) / PAGE_BYTES) - this.account.pages);
  }

  newFile(): SimulatedFile {
    return new SimulatedFile(this.#inodeNext++, this.account);
  }

  newDirectory(): SimulatedDirectory {
    return new SimulatedDirectory(this.#inodeNext++);
  }

  newDatabase(): SimulatedDatabase {
    return new SimulatedDatabase(this.#inodeNext++);
  }

  latencyMs(work: DeviceWork): number {
    const [min, max] = this.#latency[work];
    return min + (max - min) * this.#random.next();
  }

  /** Lets work of one kind fail, so many times. */
  break(work: DeviceWork, fault: DeviceFault, times = Number.POSITIVE_INFINITY): void {
    this.#faults.set(work, { fault, times });
  }

  /** The whole device fails. */
  breakAll(fault: DeviceFault): void {
    for (const work of Object.keys(LATENCY) as DeviceWork[]) this.break(work, fault);
  }

  /** Nothing fails any more, and what hung goes on. */
  mend(): void {
    this.#faults.clear();
    const hanging = this.#hanging;
    this.#hanging = [];
    for (const resume of hanging) resume();
  }

  /** How work that is to be done now fails, or null. */
  faultOf(work: DeviceWork): DeviceFault | null {
    if (this.#faults.size === 0) return null;
    const entry = this.#faults.get(work);
    if (!entry) return null;
    if (--entry.times <= 0) this.#faults.delete(work);
    return entry.fault;
  }

  /** Calls `resume` when the device is mended. */
  hang(resume: () => void): void {
    this.#hanging.push(resume);
  }

  /** What the kernel writes back by itself: each unsynced sector comes to disk with this probability. */
  writeBack(random: Random, probability: number): void {
    for (const node of this.#nodes()) if (node.kind === 'file') node.writeBack(random, probability);
  }

  /** It has lost its power, or was pulled out of the machine. */
  powerCut(random: Random): void {
    this.#hanging = [];
    this.attachment++;
    this.account.pages = 0;
    const visit = (node: SimulatedNode) => {
      node.powerCut(random);
      if (node.kind === 'file') this.account.pages += node.pages;
      if (node.kind === 'directory') for (const entry of node.entries.values()) visit(entry);
    };
    visit(this.#root);
  }

  /** All that is on it now. */
  snapshot(): DeviceImage {
    return { root: this.#root.copy({ pages: 0 }), inodeNext: this.#inodeNext };
  }

  /** Puts back what was on it. The image can be used again. */
  restore(image: DeviceImage): void {
    this.attachment++;
    this.account.pages = 0;
    this.#root = image.root.copy(this.account);
    this.#inodeNext = image.inodeNext;
  }

  /** Begins to sync all that is on it; what is answered ends that. */
  beginSync(): { finish(): void; fail(): void } {
    const finish: (() => void)[] = [];
    const fail: (() => void)[] = [];
    for (const node of this.#nodes()) {
      if (node.kind === 'file') {
        const sync = node.beginSync();
        finish.push(() => node.finishSync(sync));
        fail.push(() => node.failSync(sync));
      } else if (node.kind === 'directory') {
        const sync = node.beginSync();
        finish.push(() => node.finishSync(sync));
        fail.push(() => node.failSync(sync));
      }
    }
    return {
      finish: () => finish.forEach((end) => void end()),
      fail: () => fail.forEach((end) => void end()),
    };
  }

  *#nodes(node: SimulatedNode = this.#root): Generator<SimulatedNode> {
    yield node;
    if (node.kind === 'directory') for (const entry of node.entries.values()) yield* this.#nodes(entry);
  }
}
