import type { Random } from '../helpers/random.js';
import type { SimulatedDatabase } from './disk-database.js';
import type { PageAccount, SimulatedFile } from './disk-file.js';

export type SimulatedNode = SimulatedFile | SimulatedDirectory | SimulatedDatabase;

/** What a sync of a directory found to be written when it began. */
export interface DirectorySync {
  readonly number: number;
  readonly names: [name: string, node: SimulatedNode | undefined][];
}

/** A directory of a simulated device: its names as they are seen, and as a power cut leaves them. */
export class SimulatedDirectory {
  readonly kind = 'directory';
  readonly inode: number;
  readonly #entries = new Map<string, SimulatedNode>();
  readonly #durable = new Map<string, SimulatedNode>();
  /** Names that may differ from what is on disk; those with one number become durable together or not at all. */
  readonly #changed = new Map<string, number>();
  #changes = 0;
  #syncsBegun = 0;
  #syncsDone = 0;

  constructor(inode: number) {
    this.inode = inode;
  }

  get(name: string): SimulatedNode | undefined {
    return this.#entries.get(name);
  }

  /** In the order in which they were made. */
  get entries(): ReadonlyMap<string, SimulatedNode> {
    return this.#entries;
  }

  add(name: string, node: SimulatedNode): void {
    this.#entries.set(name, node);
    this.#change(name);
  }

  remove(name: string): void {
    this.#entries.delete(name);
    this.#change(name);
  }

  rename(source: string, target: string): void {
    const node = this.#entries.get(source)!;
    this.#entries.delete(source);
    this.#entries.set(target, node);
    const groups = [this.#changed.get(source), this.#changed.get(target)];
    const number = ++this.#changes;
    for (const [name, group] of this.#changed) if (groups.includes(group)) this.#changed.set(name, number);
    this.#changed.set(source, number);
    this.#changed.set(target, number);
  }

  beginSync(): DirectorySync {
    const names: DirectorySync['names'] = [];
    for (const name of this.#changed.keys()) names.push([name, this.#entries.get(name)]);
    return { number: ++this.#syncsBegun, names };
  }

  finishSync(sync: DirectorySync): void {
    if (sync.number < this.#syncsDone) return;
    this.#syncsDone = sync.number;
    for (const [name, node] of sync.names) {
      this.#settle(name, node);
      if (this.#entries.get(name) === node) this.#changed.delete(name);
    }
  }

  /** What could not be written is not tried again. */
  failSync(sync: DirectorySync): void {
    for (const [name, node] of sync.names) if (this.#entries.get(name) === node) this.#changed.delete(name);
  }

  /** Each change that was not synced is kept or lost. */
  powerCut(random: Random): void {
    const share = random.below(3) / 2;
    const kept = new Map<number, boolean>();
    for (const [name, group] of this.#changed) {
      if (!kept.has(group)) kept.set(group, random.chance(share));
      if (kept.get(group)) this.#settle(name, this.#entries.get(name));
    }
    this.#changed.clear();
    this.#entries.clear();
    for (const [name, node] of this.#durable) this.#entries.set(name, node);
  }

  copy(account: PageAccount): SimulatedDirectory {
    const copy = new SimulatedDirectory(this.inode);
    for (const [name, node] of this.#entries) {
      const copied = node.copy(account);
      copy.#entries.set(name, copied);
      copy.#durable.set(name, copied);
    }
    return copy;
  }

  #change(name: string): void {
    if (!this.#changed.has(name)) this.#changed.set(name, ++this.#changes);
  }

  #settle(name: string, node: SimulatedNode | undefined): void {
    if (node === undefined) this.#durable.delete(name);
    else this.#durable.set(name, node);
  }
}
