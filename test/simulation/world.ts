import { type ClusterMap, EMPTY_MAP, type MapGroup } from '../../lib/cluster/cluster-map.js';
import { decodeClusterMap, MAP_KEY } from '../../lib/cluster/cluster-map-record.js';
import { NEXT_MAP_DEFAULTS, type NextMapOptions } from '../../lib/cluster/observation.js';
import type { Message } from '../../lib/replication/messages.js';
import { messageCodec } from '../../lib/replication/wire/message-codec.js';
import { Random } from '../helpers/random.js';
import { Allowance } from './allowance.js';
import { SimulatedStore } from './coordination-store.js';
import { SimulatedDevice } from './disk.js';
import type { DiskSlot } from './host-disks.js';
import { describeMessage } from './message-words.js';
import { Network } from './network.js';
import { Placement } from './placement.js';
import { Scheduler } from './scheduler.js';
import { SimulatedHost } from './simulated-host.js';
import { STEADY_DEVICE, STEADY_NETWORK, STEADY_STORE } from './steady.js';
import { Trace } from './trace.js';

/** What is stored again and again as long as nothing happens. */
const HEARTBEAT = /^\/(alive\/|conductor$)/;

/** Numbers of disks that the cluster did not begin with. */
const FIRST_NEW_DISK = 1001;

/** What all hosts of a simulated cluster have around them. */
export interface Shared {
  readonly options: WorldOptions;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly trace: Trace;
  readonly network: Network<Message>;
  readonly store: SimulatedStore;
  readonly placement: Placement;
  readonly mapOptions: NextMapOptions;
  /** Something went wrong that no fault explains. */
  defect(where: string, error: unknown): void;
}

/** Hosts of a cluster, at most. */
export const HOSTS_MAX = 7;

export interface WorldOptions {
  seed: number;
  hosts: number;
  disksPerHost: number;
  /** Placement groups of a table. */
  pgs: number;
  /** Redundancies in use. */
  copies: readonly number[];
  print?: (line: string) => void;
  /** Messages are in the trace, all of which is kept. */
  messages?: boolean;
  /** Everything takes the same time each time, and clocks go right. */
  steady?: boolean;
}

/** A simulated cluster, its hosts not started yet. */
export class World implements Shared {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly trace: Trace;
  readonly network: Network<Message>;
  readonly store: SimulatedStore;
  readonly placement: Placement;
  readonly mapOptions: NextMapOptions;
  /** Those that belong to the cluster. */
  readonly hosts: SimulatedHost[] = [];
  /** Names of all that ever did: none of them joins anew. */
  readonly known = new Set<string>();
  readonly options: WorldOptions;
  readonly allowance: Allowance;
  #map: ClusterMap = EMPTY_MAP;
  /** Whether every group is whole is asked before each event, and hangs on these alone. */
  #notWhole: { readonly map: ClusterMap; readonly hosts: number; readonly reason: string | null } | null = null;
  #diskNext = FIRST_NEW_DISK;
  readonly #downSinceMs = new Map<string, number>();
  readonly #hostListeners: ((host: SimulatedHost) => void)[] = [];
  /** The first defect that was seen; the run ends with it. */
  failure: Error | null = null;

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = new Random(options.seed);
    this.trace = new Trace(this.scheduler, {
      ...(options.print && { print: options.print }),
      ...(options.messages && { linesMax: Number.POSITIVE_INFINITY }),
    });
    this.network = new Network(this.scheduler, this.#stream(), {
      codec: messageCodec,
      ...(options.steady && { conditions: STEADY_NETWORK }),
      trace: this.trace,
      ...(options.messages && { describe: describeMessage }),
    });
    this.store = new SimulatedStore(this.scheduler, this.#stream(), {
      ...(options.steady && { conditions: STEADY_STORE }),
      trace: this.trace,
      isNoted: (key) => options.messages === true || !HEARTBEAT.test(key),
    });
    this.placement = new Placement(options.pgs);
    this.mapOptions = { ...NEXT_MAP_DEFAULTS, pgs: options.pgs, copies: options.copies };
    this.store.onChange(({ events }) => {
      for (const { type, keyValue } of events) if (type === 'put' && keyValue.key === MAP_KEY) this.#mapChanged();
    });
    this.allowance = new Allowance(this);
    for (let number = 0; number < options.hosts; number++) {
      this.#addHost(`host${number + 1}`, (disk) => number * 10 + disk + 1);
    }
  }

  #addHost(id: string, numberOf: (disk: number) => number): SimulatedHost {
    const devices = new Map<number, SimulatedDevice>();
    for (let disk = 0; disk < this.options.disksPerHost; disk++) devices.set(numberOf(disk), this.newDevice());
    const host = new SimulatedHost(id, this, this.#stream(), devices);
    this.hosts.push(host);
    this.known.add(id);
    for (const added of this.#hostListeners) added(host);
    return host;
  }

  /** A new host, not started yet. */
  addHost(id: string): SimulatedHost {
    return this.#addHost(id, () => this.nextDisk());
  }

  /** For good: nobody starts it again. */
  removeHost(host: SimulatedHost): void {
    this.onReboot(host);
    host.remove();
    this.hosts.splice(this.hosts.indexOf(host), 1);
  }

  /** Calls `added` with each host that there is, and that joins later. */
  eachHost(added: (host: SimulatedHost) => void): void {
    this.#hostListeners.push(added);
    for (const host of this.hosts) added(host);
  }

  newDevice(): SimulatedDevice {
    const latency = this.options.steady ? { latency: STEADY_DEVICE } : {};
    return new SimulatedDevice({ random: this.#stream(), ...latency });
  }

  /** For how long the map has had a host down; 0: it is up. */
  downMs(host: string): number {
    const since = this.#downSinceMs.get(host);
    return since === undefined ? 0 : this.scheduler.nowMs - since;
  }

  /** The disk that a fault is about. */
  slotOf({ host, disk }: { host: string; disk: number }): DiskSlot | undefined {
    const slots = this.hosts.find(({ id }) => id === host)?.disks.slots ?? [];
    return slots[disk % Math.max(1, slots.length)];
  }

  /** A number that no disk had before. */
  nextDisk(): number {
    return this.#diskNext++;
  }

  /** Whether a group takes the disk's copy for complete. */
  isCountedOn(disk: number): boolean {
    return Object.values(this.map.tables).some((groups) => groups.some(({ insync }) => insync.includes(disk)));
  }

  /** Whether any group names the disk. */
  isNamed(disk: number): boolean {
    const groups = Object.values(this.map.tables).flat();
    return groups.some(({ acting, insync }) => acting.includes(disk) || insync.includes(disk));
  }

  /** Called before a host is rebooted, or removed: what ran on it is gone. */
  onReboot: (host: SimulatedHost) => void = () => {};

  reboot(host: SimulatedHost): void {
    this.onReboot(host);
    host.reboot();
  }

  /** Called when a group restarts from a copy that may lack what was not flushed, before anybody knows. */
  onLossy: (copies: number, pg: number) => void = () => {};

  /** The map as it is now, whoever has adopted it. */
  get map(): ClusterMap {
    return this.#map;
  }

  /** The epoch in which a group last restarted from a copy that may lack what was not flushed; 0: never. */
  lossyOf(copies: number, pg: number): number {
    return this.#map.tables[copies]?.[pg]?.lossy ?? 0;
  }

  #mapChanged(): void {
    const before = this.#map;
    this.#map = decodeClusterMap(this.store.peek(MAP_KEY)!.value);
    for (const [id, { up, incarnation, bootId }] of Object.entries(this.#map.hosts)) {
      const known = before.hosts[id];
      if (up) this.#downSinceMs.delete(id);
      else if (!this.#downSinceMs.has(id)) this.#downSinceMs.set(id, this.scheduler.nowMs);
      if (known?.up === up && known.incarnation === incarnation && known.bootId === bootId) continue;
      this.trace.note('map', `epoch ${this.#map.epoch}: ${id} is ${up ? 'up' : 'down'} with ${incarnation}, ${bootId}`);
    }
    for (const [copies, table] of Object.entries(this.#map.tables)) {
      for (const [pg, group] of table.entries()) {
        const known = before.tables[Number(copies)]?.[pg];
        if (known === undefined || describeGroup(known) !== describeGroup(group)) {
          this.trace.note('map', `epoch ${this.#map.epoch}: group ${copies}/${pg} ${describeGroup(group)}`);
        }
        if (group.lossy > (known?.lossy ?? 0)) this.onLossy(Number(copies), pg);
      }
    }
  }

  /** Why the cluster is not healthy, or null: all hosts up and no others, every group whole. */
  get unhealthy(): string | null {
    const { hosts } = this.map;
    for (const { id } of this.hosts) if (!hosts[id]?.up) return `${id} is not up`;
    for (const { id, run } of this.hosts) if (!run?.cluster.replica.mayAnswer) return `${id} does not answer`;
    return this.#groupNotWhole();
  }

  #groupNotWhole(): string | null {
    const known = this.#notWhole;
    if (known?.map === this.map && known.hosts === this.hosts.length) return known.reason;
    const reason = this.#findNotWhole();
    this.#notWhole = { map: this.map, hosts: this.hosts.length, reason };
    return reason;
  }

  #findNotWhole(): string | null {
    // What one that was killed when it was removed had under way is made equal once it is known to be gone.
    for (const [id, { up }] of Object.entries(this.map.hosts)) {
      if (up && !this.hosts.some((host) => host.id === id)) return `${id} is up, though it was removed`;
    }
    for (const [copies, table] of Object.entries(this.map.tables)) {
      const wanted = Math.min(Number(copies), this.hosts.length);
      for (const [pg, { acting, insync }] of table.entries()) {
        if (acting.length !== wanted || insync.length !== wanted) {
          return `group ${copies}/${pg}: acting ${acting.join()}, in sync ${insync.join()}`;
        }
      }
    }
    return null;
  }

  /** Random numbers of its own for each part, so that one that takes more changes no other's. */
  #stream(): Random {
    return new Random(this.random.below(2 ** 32));
  }

  defect(where: string, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.trace.note(where, `DEFECT: ${text}`);
    this.failure ??= error instanceof Error ? error : new Error(text);
    this.scheduler.stop();
  }
}

function describeGroup({ acting, insync, since, lossy }: MapGroup): string {
  return `acting ${acting.join()}, in sync ${insync.join()}, since ${since}, lossy ${lossy}`;
}
