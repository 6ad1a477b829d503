import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { HostState } from '../replication/cluster-host.js';
import { StateError } from './state-error.js';

/** The file has two slots, written in turn and in place: a torn write leaves the other, and a full disk stops none. */
const SLOT_BYTES = 4096;
const SLOTS = 2;

const Slot = z.strictObject({
  /** Grows by one with each write. */
  version: z.int().nonnegative(),
  incarnation: z.int().nonnegative(),
  adoptedEpoch: z.int().nonnegative(),
  failedDisks: z.array(z.int().positive()),
  /** By disk, how often it was opened. */
  opens: z.record(z.string(), z.int().positive()).default({}),
});
type Slot = z.infer<typeof Slot>;

const NEW: Slot = { version: 0, incarnation: 0, adoptedEpoch: 0, failedDisks: [], opens: {} };

/** What a host has to remember of itself, whatever the cluster's store says: see HostState. */
export class HostStateFile implements HostState {
  readonly #file: number;
  #slot: Slot;

  private constructor(file: number, slot: Slot) {
    this.#file = file;
    this.#slot = slot;
  }

  /** Opens `host` in the state directory, making it where there is none. Throws StateError. */
  static open(directory: string): HostStateFile {
    const path = join(directory, 'host');
    try {
      const made = tryOpen(path, 'r+') === null;
      const file = made ? openSync(path, 'wx+', 0o600) : openSync(path, 'r+');
      const state = new HostStateFile(file, made ? NEW : newestOf(file, path));
      if (!made) return state;
      for (let slot = 0; slot < SLOTS; slot++) state.#write(NEW);
      syncDirectory(dirname(path));
      return state;
    } catch (error) {
      if (error instanceof StateError) throw error;
      const { code } = error as NodeJS.ErrnoException;
      throw new StateError('NO_ACCESS', `${path} cannot be used (${code ?? error}); check the disk it is on`);
    }
  }

  get incarnation(): number {
    return this.#slot.incarnation;
  }

  get adoptedEpoch(): number {
    return this.#slot.adoptedEpoch;
  }

  get failedDisks(): readonly number[] {
    return this.#slot.failedDisks;
  }

  // Each is a write in place of one block: not worth another thread, and in order by themselves.
  async storeIncarnation(incarnation: number): Promise<void> {
    this.#write({ ...this.#slot, incarnation });
  }

  async storeAdoptedEpoch(adoptedEpoch: number): Promise<void> {
    // A worker that starts goes by the map of the one before, first of all.
    if (adoptedEpoch !== this.adoptedEpoch) this.#write({ ...this.#slot, adoptedEpoch });
  }

  async storeFailedDisk(disk: number): Promise<void> {
    if (!this.failedDisks.includes(disk)) this.#write({ ...this.#slot, failedDisks: [...this.failedDisks, disk] });
  }

  async forgetFailedDisks(): Promise<void> {
    if (this.failedDisks.length > 0) this.#write({ ...this.#slot, failedDisks: [] });
  }

  /** How often the disk was opened, as far as this host knows. */
  opensOf(disk: number): number {
    return this.#slot.opens[disk] ?? 0;
  }

  async storeOpens(disk: number, opens: number): Promise<void> {
    this.#write({ ...this.#slot, opens: { ...this.#slot.opens, [disk]: opens } });
  }

  /** The disk belongs to the host no more. */
  async forgetDisk(disk: number): Promise<void> {
    const { [disk]: _forgotten, ...opens } = this.#slot.opens;
    if (disk in this.#slot.opens) this.#write({ ...this.#slot, opens });
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(state: Slot): void {
    const next = { ...state, version: this.#slot.version + 1 };
    const text = Buffer.from(JSON.stringify(next));
    if (text.length > SLOT_BYTES) throw new Error(`${text.length} bytes of host state`);
    const block = Buffer.alloc(SLOT_BYTES, ' ');
    text.copy(block);
    writeSync(this.#file, block, 0, SLOT_BYTES, (next.version % SLOTS) * SLOT_BYTES);
    fdatasyncSync(this.#file);
    this.#slot = next;
  }
}

function tryOpen(path: string, flags: string): true | null {
  try {
    closeSync(openSync(path, flags));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function newestOf(file: number, path: string): Slot {
  let newest: Slot | null = null;
  for (let slot = 0; slot < SLOTS; slot++) {
    const found = readSlot(file, slot);
    if (found && found.version >= (newest?.version ?? 0)) newest = found;
  }
  if (newest) return newest;
  throw new StateError('DAMAGED', `${path} is damaged; restore it, or name another directory with --state`);
}

/** A slot that was torn is no JSON: its text is as long as the block. */
function readSlot(file: number, slot: number): Slot | null {
  const block = Buffer.alloc(SLOT_BYTES);
  readSync(file, block, 0, SLOT_BYTES, slot * SLOT_BYTES);
  try {
    return Slot.parse(JSON.parse(block.toString()));
  } catch {
    return null;
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
