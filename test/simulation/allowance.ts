import { ALIVE_PREFIX } from '../../lib/cluster/alive-record.js';
import type { MapGroup } from '../../lib/cluster/cluster-map.js';
import type { Fault } from './faults.js';
import { HOSTS_MAX, type World } from './world.js';

/** A host that has renewed within this time is not about to be called down. */
const FRESH_MS = 1500;
/** What may have a host called down, or thrown out, that is not named by the fault. */
const OF_MANY = new Set<Fault['kind']>(['cut', 'conductor', 'store-outage', 'store-slow', 'store-rough']);

/**
 * What the promises cover: of each group one copy stays that the cluster knows as complete. It knows one that is
 * destroyed as complete until somebody has found out; who is in sync beside it must not be called down before.
 */
export class Allowance {
  readonly #world: World;
  readonly #renewedMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
    world.store.onChange(({ events }) => {
      for (const { keyValue } of events) {
        if (!keyValue.key.startsWith(ALIVE_PREFIX)) continue;
        this.#renewedMs.set(keyValue.key.slice(ALIVE_PREFIX.length), world.scheduler.nowMs);
      }
    });
  }

  allows(fault: Fault): boolean {
    const destroyed = this.#destroyed();
    if (fault.kind === 'join') return this.#world.hosts.length < HOSTS_MAX;
    if (fault.kind === 'force-remove') {
      const lost = this.#world.hosts.find(({ id }) => id === fault.host)?.disks.slots ?? [];
      return this.#isSurvived(new Set([...destroyed, ...lost.map(({ number }) => number)]), new Set([fault.host]));
    }
    if (fault.kind === 'disk') {
      const slot = this.#world.slotOf(fault);
      if (slot === undefined) return false;
      destroyed.add(slot.number);
      // One that is only troubled comes back with what it had.
      if (fault.trouble !== 'swap' && fault.trouble !== 'restore') destroyed.delete(slot.number);
      else return this.#isSurvived(destroyed, new Set());
    }
    if (!this.#groups().some(({ insync }) => insync.some((disk) => destroyed.has(disk)))) return true;
    if (OF_MANY.has(fault.kind)) return false;
    const hosts = 'hosts' in fault ? fault.hosts : 'host' in fault ? [fault.host] : [];
    return this.#isSurvived(destroyed, new Set(hosts));
  }

  #groups(): MapGroup[] {
    return Object.values(this.#world.map.tables).flat();
  }

  #destroyed(): Set<number> {
    const slots = this.#world.hosts.flatMap(({ disks }) => disks.slots);
    return new Set(slots.filter(({ isDestroyed }) => isDestroyed).map(({ number }) => number));
  }

  /** Whether every group that counts on a destroyed copy has one on another host than those. */
  #isSurvived(destroyed: ReadonlySet<number>, without: ReadonlySet<string>): boolean {
    return this.#groups().every(({ acting, insync }) => {
      if (!insync.some((disk) => destroyed.has(disk))) return true;
      // Of one that stands still all who are in sync are known, and nobody is called down any more. But it may be about to
      // restart with any one of them that was there a moment ago, and then that one alone is in sync.
      if (acting.length === 0) {
        if (insync.some((disk) => destroyed.has(disk) && this.#mayBeChosen(disk))) return false;
        return insync.some((disk) => !destroyed.has(disk) && this.#isThere(disk));
      }
      return acting.some((disk) => insync.includes(disk) && !destroyed.has(disk) && this.#isSafe(disk, without));
    });
  }

  /** Whether the conductor may have heard of it, and not yet that it is gone. */
  #mayBeChosen(number: number): boolean {
    const { hosts, scheduler, mapOptions } = this.#world;
    const host = hosts.find(({ disks }) => disks.slot(number) !== undefined);
    if (host === undefined) return false;
    const open = host.run?.disks.find((disk) => disk.number === number);
    if (open && !open.failed) return true;
    return scheduler.nowMs - (this.#renewedMs.get(host.id) ?? Number.NEGATIVE_INFINITY) < mapOptions.ttlMs;
  }

  /** Whether what it has will be there again. */
  #isThere(number: number): boolean {
    return this.#world.hosts.some(({ disks }) => disks.slot(number) !== undefined);
  }

  #isSafe(number: number, without: ReadonlySet<string>): boolean {
    const { map, hosts, store, scheduler } = this.#world;
    const id = map.disks[number]?.host;
    const host = hosts.find((each) => each.id === id);
    if (id === undefined || host === undefined || without.has(id)) return false;
    const known = map.hosts[id];
    const slot = host.disks.slot(number);
    const open = host.run?.disks.find((disk) => disk.number === number);
    if (!known?.up || known.bootId !== host.machine.bootId || !slot || slot.trouble || slot.hasFailed) return false;
    if (!open || open.failed || host.isPaused || !store.isReachable(id)) return false;
    return scheduler.nowMs - (this.#renewedMs.get(id) ?? Number.NEGATIVE_INFINITY) < FRESH_MS;
  }
}
