import type { HostDiskRecord } from '../../lib/cluster/host-record.js';
import type { Random } from '../helpers/random.js';
import { changeHost, recordOf } from './admin-faults.js';
import type { DiskSlot } from './host-disks.js';
import { type Range, within } from './network-conditions.js';
import type { SimulatedHost } from './simulated-host.js';
import type { World } from './world.js';

/** Between two looks at the cluster, in milliseconds. */
const LOOK_MS: Range = [1000, 12_000];
/** So often something that could be done is left for a later look. */
const LATER_CHANCE = 0.3;
const RESTART_MS: Range = [20, 1000];

/** Whoever looks after the simulated cluster: says that disks may return, and replaces those that never will. */
export class Caretaker {
  readonly #world: World;
  readonly #random: Random;
  #isDue = false;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#wait();
  }

  /** What is left to do, in words; null: nothing. */
  get waitsFor(): string | null {
    for (const { id, disks, run } of this.#world.hosts) {
      for (const slot of disks.slots) {
        const open = run?.disks.find(({ number }) => number === slot.number);
        // Its device may have been away for a moment, which has yet to be noticed.
        const isOpen = open && !open.failed && slot.attachment === slot.device.attachment;
        if (slot.isDestroyed || slot.hasFailed || !isOpen || this.#record(id, slot.number) !== 'in')
          return `disk ${slot.number} of ${id} is not back`;
      }
    }
    return null;
  }

  #wait(): void {
    this.#world.scheduler.after(within(this.#random, LOOK_MS), () => {
      this.#look();
      this.#wait();
    });
  }

  #look(): void {
    this.#isDue = false;
    for (const host of this.#world.hosts) {
      for (const slot of host.disks.slots) {
        if (!slot.trouble && !this.#random.chance(LATER_CHANCE)) this.#lookAt(host, slot);
      }
      host.disks.takeImages();
      if (this.#isDue) this.#restart(host);
      this.#isDue = false;
    }
  }

  #lookAt(host: SimulatedHost, slot: DiskSlot): void {
    const { number, isDestroyed, hasFailed } = slot;
    const record = this.#record(host.id, number);
    const mayChange = !host.isTellingOf(number);
    if (isDestroyed) {
      // While a group counts on what it had, somebody may still find out.
      if (mayChange && !this.#world.isCountedOn(number)) this.#replace(host, number);
    } else if (record === 'removing' && !hasFailed && !this.#world.isNamed(number)) {
      if (mayChange) this.#takeAway(host, number);
    } else if (hasFailed || record === 'failed') {
      this.#readmit(host, slot);
    } else if (host.run) {
      const open = host.run.disks.find((disk) => disk.number === number);
      if (open?.failed) this.#isDue = true;
      else if (!open) host.open(slot);
    }
  }

  /** `dog disk add` of a disk that was repaired: it returns as one that rebooted, with the next worker. */
  #readmit(host: SimulatedHost, slot: DiskSlot): void {
    this.#world.trace.note('admin', `lets disk ${slot.number} of ${host.id} return`);
    const wasRunning = host.isRunning;
    if (wasRunning) host.kill();
    host.disks.remount(slot);
    slot.hasFailed = false;
    changeHost(this.#world, host.id, (record) => ({
      ...record,
      disks: record.disks.map((disk) => {
        return disk.number === slot.number && disk.standing === 'failed' ? { ...disk, standing: 'in' } : disk;
      }),
    }));
    if (wasRunning) this.#startSoon(host);
  }

  /** An empty disk in its place, with a number of its own. */
  #replace(host: SimulatedHost, number: number): void {
    const next = this.#world.nextDisk();
    this.#world.trace.note('admin', `replaces disk ${number} of ${host.id} by ${next}`);
    this.#takeAway(host, number);
    host.addDisk(next, this.#world.newDevice(), 1);
  }

  /** A disk that no group names any more. */
  #takeAway(host: SimulatedHost, number: number): void {
    this.#world.trace.note('admin', `takes disk ${number} of ${host.id} away`);
    host.removeDisk(number);
    changeHost(this.#world, host.id, (record) => {
      return { ...record, disks: record.disks.filter((disk) => disk.number !== number) };
    });
  }

  #restart(host: SimulatedHost): void {
    if (!host.isRunning) return;
    host.kill();
    this.#startSoon(host);
  }

  #startSoon(host: SimulatedHost): void {
    this.#world.scheduler.after(within(this.#random, RESTART_MS), () => {
      if (!host.isRunning) host.start();
    });
  }

  #record(host: string, disk: number): HostDiskRecord['standing'] | null {
    return recordOf(this.#world, host)?.disks.find(({ number }) => number === disk)?.standing ?? null;
  }
}
