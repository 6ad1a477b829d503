import type { Random } from '../helpers/random.js';
import { type DeviceImage, type DeviceWork, SimulatedDevice, type SimulatedMachine } from './disk.js';
import type { DiskTrouble } from './faults.js';

/** Images of a disk that are kept, to be put back by `restore`. */
const IMAGES_MAX = 3;
/** What an error of writing may be of. */
const WRITES: readonly DeviceWork[] = ['write', 'name', 'commit'];

/** A disk of a host, by its number in the cluster. */
export interface DiskSlot {
  readonly number: number;
  readonly path: string;
  /** Its share of the data, in parts of what the disks have that were there from the start. */
  readonly weight: number;
  device: SimulatedDevice;
  isFormatted: boolean;
  /** What is the matter with it, until that is mended. */
  trouble: { readonly number: number; readonly kind: DiskTrouble } | null;
  /** What it had is gone: it holds nothing, or something old. */
  isDestroyed: boolean;
  /** Under a worker that does not run any more it failed: not opened before the administrator says so. */
  hasFailed: boolean;
  /** How often it was opened, as its host remembers, and the attachment of its device when it was the last time. */
  opens: number;
  attachment: number;
  readonly images: { readonly opens: number; readonly image: DeviceImage }[];
}

/** The disks of a simulated host, and what happens to them. They outlive its workers. */
export class HostDisks {
  readonly #machine: SimulatedMachine;
  readonly #random: Random;
  readonly #slots = new Map<number, DiskSlot>();

  constructor(machine: SimulatedMachine, random: Random) {
    this.#machine = machine;
    this.#random = random;
  }

  get slots(): readonly DiskSlot[] {
    return [...this.#slots.values()];
  }

  slot(number: number): DiskSlot | undefined {
    return this.#slots.get(number);
  }

  /** An empty disk, to be formatted under this number, which no disk had before. */
  add(number: number, device: SimulatedDevice, weight = 1): DiskSlot {
    const path = `/disk${number}`;
    const slot: DiskSlot = {
      ...{ number, path, weight, device, isFormatted: false, trouble: null, isDestroyed: false, hasFailed: false },
      ...{ opens: 0, attachment: 0, images: [] },
    };
    this.#slots.set(number, slot);
    this.#machine.mount(path, device);
    return slot;
  }

  /** It is not used any more. */
  remove(number: number): void {
    this.#slots.delete(number);
  }

  /** Begins a trouble; false where there can be none of this kind. The cluster has on record that it was opened `recorded` times. */
  trouble(slot: DiskSlot, kind: DiskTrouble, number: number, recorded: number): boolean {
    if (slot.trouble !== null || slot.isDestroyed || !slot.isFormatted) return false;
    // Of any other nobody could tell that it is old.
    const older = slot.images.filter(({ opens }) => opens < recorded);
    const image = older[this.#random.below(older.length)];
    if (kind === 'restore' && image === undefined) return false;
    if (kind === 'restore') {
      slot.device.restore(image!.image);
      slot.isDestroyed = true;
    } else if (kind === 'swap') {
      this.#machine.remove(slot.path, this.#random);
      slot.device = new SimulatedDevice({ random: this.#random });
      this.#machine.mount(slot.path, slot.device);
      slot.isDestroyed = true;
    } else {
      slot.trouble = { number, kind };
      this.#break(slot, kind);
    }
    return true;
  }

  /** Ends the trouble with this number, if there is one. */
  mend(number: number): void {
    const slot = this.slots.find(({ trouble }) => trouble?.number === number);
    if (slot) this.#mend(slot);
  }

  /** As after `umount` and `mount`: what was not synced when it failed is gone. */
  remount(slot: DiskSlot): void {
    this.#machine.remove(slot.path, this.#random);
    this.#mend(slot);
    this.#machine.mount(slot.path, slot.device);
  }

  /** Keeps an image of what is on each disk now. */
  takeImages(): void {
    for (const { device, images, opens, isFormatted, trouble, isDestroyed } of this.#slots.values()) {
      if (!isFormatted || trouble !== null || isDestroyed) continue;
      images.push({ opens, image: device.snapshot() });
      if (images.length > IMAGES_MAX) images.splice(this.#random.below(images.length), 1);
    }
  }

  #break({ path, device }: DiskSlot, kind: DiskTrouble): void {
    switch (kind) {
      case 'read-error':
        device.break('read', 'EIO');
        break;
      case 'write-error':
        device.break(WRITES[this.#random.below(WRITES.length)]!, 'EIO');
        break;
      case 'sync-error':
        device.break('sync', 'EIO');
        break;
      case 'full':
        device.break('write', 'ENOSPC');
        break;
      case 'hang':
        device.breakAll('hang');
        break;
      case 'vanish':
        this.#machine.remove(path, this.#random);
        break;
      default:
        throw new Error(`nothing to break: ${kind}`);
    }
  }

  #mend(slot: DiskSlot): void {
    slot.device.mend();
    if (slot.trouble?.kind === 'vanish') this.#machine.mount(slot.path, slot.device);
    slot.trouble = null;
  }
}
