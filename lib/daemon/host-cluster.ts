import { changeHost } from '../cluster/change-host.js';
import { type Clock, pause } from '../cluster/clock.js';
import { type ClusterMap, type DiskStanding, isUpWith, type MapGroup } from '../cluster/cluster-map.js';
import type { HostDiskRecord, HostRecord } from '../cluster/host-record.js';
import type { HostsWatch } from '../cluster/hosts-watch.js';
import { wantedTable } from '../cluster/level-placement.js';
import { MapDraft } from '../cluster/map-draft.js';
import { NEXT_MAP_DEFAULTS, type NextMapOptions } from '../cluster/observation.js';
import { isUnavailable } from '../cluster/patient-coordination.js';
import { copiesOf, familyOffset, groupAt, PGS_DEFAULT, type PlacementHost } from '../cluster/placement.js';
import { placementHosts } from '../cluster/placement-steps.js';
import { registerHost, withOpened } from '../cluster/register-host.js';
import type { Coordination } from '../coordination/coordination.js';
import type { Links } from '../net/links.js';
import { ClusterHost } from '../replication/cluster-host.js';
import type { LayerRules } from '../replication/layer-rules.js';
import type { Message } from '../replication/messages.js';
import type { ReplicaHost } from '../replication/replica-host.js';
import type { Disk } from '../store/index.js';
import { CopiesInUse } from './copies-in-use.js';
import type { HostNetwork } from './host-network.js';
import type { HostStateFile } from './host-state.js';
import type { Logger } from './log.js';
import { StateError } from './state-error.js';

/**
 * Of a host that is alone: nobody waits for it to be called down, and each heartbeat costs the disk of its state
 * directory a sync.
 */
const ALONE_TTL_MS = 1000 * 30; // 30 s
/** Groups that move at a time: with nobody to ask, a round takes no longer for more of them. */
const ALONE_MOVES_MAX = 256;
/** A host stops so long before others may think that it did: clocks may be 1 % apart, and timers late. */
const MARGIN_MS = 500;
/** Before a store that did not answer is asked again. */
const RETRY_MS = 300;

export interface HostClusterOptions {
  readonly host: string;
  readonly name: string;
  readonly zone: string;
  readonly bootId: string;
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly state: HostStateFile;
  /** See ClusterHostOptions. */
  readonly inheritsHandles: boolean;
  readonly layers: LayerRules;
  /** Disks that are open: those that are added are in here before `diskAdded` is called. */
  readonly disks: readonly Disk[];
  /** Of new images. */
  readonly copies: number;
  /** Open. */
  readonly hosts: HostsWatch;
  /** Null: there is no other host. */
  readonly network: HostNetwork | null;
  /** This host has given back and written all that it can: resolves when others need it no more. */
  readonly written: () => Promise<void>;
  readonly log: Logger;
}

/** How many groups a disk has, and is to have. */
export interface DiskUse {
  /** Groups that name the disk. */
  readonly held: number;
  /** Groups that it is on its way to. */
  readonly coming: number;
}

function removedError(): StateError {
  return new StateError(
    'REMOVED',
    'this host was removed from its cluster; empty its --state and --disk directories, and join again with a token',
  );
}

/** This host as one of its cluster, or as the only one. */
export class HostCluster {
  readonly #options: HostClusterOptions;
  readonly #copies: CopiesInUse;
  readonly #offsets = new Map<number, number>();
  readonly #listeners = new Set<() => void>();
  readonly #host: ClusterHost;
  readonly #mapOptions: NextMapOptions;

  private constructor(options: HostClusterOptions, copies: CopiesInUse) {
    const { host, bootId, coordination, clock, state, inheritsHandles, disks, layers, network, log } = options;
    this.#options = options;
    this.#copies = copies;
    const isAlone = network === null;
    this.#mapOptions = {
      ...{ ...NEXT_MAP_DEFAULTS, pgs: PGS_DEFAULT },
      ...(isAlone && { ttlMs: ALONE_TTL_MS, movesMax: ALONE_MOVES_MAX }),
      get copies() {
        return copies.all;
      },
    };
    let links: Links<Message> | null = null;
    this.#host = new ClusterHost(
      {
        ...{ host, bootId, coordination, state, inheritsHandles, disks, layers, clock, isAlone },
        ...{ marginMs: MARGIN_MS, map: this.#mapOptions },
        // What a disk has given up is of no use to a host alone: nobody is missed whom it could take the place of.
        ...(isAlone && { formerCopiesKeptMs: 0 }),
        pgOf: (family, index) => this.#pgOf(family, index),
        copiesOf,
        onError: (error) => log.error(error as Error, 'defect in replication'),
        note: (what) => log.debug(what),
        adopted: () => this.#adopted(),
      },
      { send: (peer, message, session) => links?.send(peer, message, session) ?? null },
    );
    links = network?.attach(this.#host) ?? null;
  }

  /** Registers the host and its disks, under a new incarnation. */
  static async open(options: HostClusterOptions): Promise<HostCluster> {
    const { coordination, state, copies: usual } = options;
    await state.storeIncarnation(state.incarnation + 1);
    const copies: CopiesInUse = new CopiesInUse(usual, () => cluster.#host.hurry());
    const cluster = new HostCluster(options, copies);
    await cluster.#register();
    await copies.open(coordination);
    return cluster;
  }

  get replica(): ReplicaHost {
    return this.#host.replica;
  }

  /** Whether this host makes the maps. */
  get conducts(): boolean {
    return this.#host.conducts;
  }

  get map(): ClusterMap {
    return this.#host.follower.map;
  }

  /** Begins; resolves when this host serves. */
  async start(): Promise<void> {
    this.#host.start();
    while (!this.#serves()) await this.nextChange();
  }

  /** Hands roles back and stops; resolves when nothing uses the disks any more. */
  async close(): Promise<void> {
    await this.replica.handBack();
    await this.#options.written();
    this.#copies.close();
    this.#host.close();
    await this.replica.ended();
    this.#adopted();
  }

  /** Groups of all tables. */
  get groups(): MapGroup[] {
    return Object.values(this.map.tables).flat();
  }

  /** How many groups are not yet where they belong. */
  get toMove(): number {
    const { map } = this;
    const hosts = this.#placement();
    let count = 0;
    for (const [copies, table] of Object.entries(map.tables)) {
      const wanted = wantedTable(hosts, table.length, Number(copies));
      for (const [pg, { acting, insync }] of table.entries()) {
        const isThere = insync.length === wanted[pg]!.length && wanted[pg]!.every((disk) => insync.includes(disk));
        if (!isThere || acting.length !== insync.length) count++;
      }
    }
    return count;
  }

  useOf(disk: number): DiskUse {
    let [held, coming] = [0, 0];
    for (const { acting, insync } of this.groups) {
      if (insync.includes(disk)) held++;
      else if (acting.includes(disk)) coming++;
    }
    return { held, coming };
  }

  /** Whether a group names the disk. */
  uses(disk: number): boolean {
    return this.groups.some(({ acting, insync }) => acting.includes(disk) || insync.includes(disk));
  }

  /** A disk was opened while the host runs. */
  async diskAdded(disk: Disk): Promise<void> {
    await this.#register();
    this.#host.addDisk(disk);
  }

  /** The disk's size has changed: it may take more, or less. */
  async diskResized({ number, space }: Disk): Promise<void> {
    const weight = space.report().total;
    await this.#changeDisk(number, { weight });
  }

  async setStanding(number: number, standing: DiskStanding): Promise<void> {
    await this.#changeDisk(number, { standing });
  }

  /** Forgets a disk that no group names any more; then it may be closed. */
  async forgetDisk(number: number): Promise<void> {
    await this.#changeDisks((disks) => disks.filter((disk) => disk.number !== number));
    await this.#host.removeDisk(number);
  }

  /** Resolves when another map was adopted, or the host was closed. */
  nextChange(): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        this.#listeners.delete(end);
        resolve();
      };
      this.#listeners.add(end);
    });
  }

  #adopted(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #serves(): boolean {
    const { map } = this;
    const { host, state, copies, network } = this.#options;
    if (!isUpWith(map, host, state.incarnation)) return false;
    // Among several, another one may make the maps, and makes the table when there is an image that needs it.
    return network !== null || map.tables[copies] !== undefined;
  }

  /** The administrator started the host again: what failed before is tried anew. */
  async forgive(): Promise<void> {
    await this.#changeDisks((disks) =>
      disks.map((disk) => (disk.standing === 'failed' ? { ...disk, standing: 'in' as const } : disk)),
    );
  }

  #changeDisk(number: number, change: Partial<HostDiskRecord>): Promise<void> {
    return this.#changeDisks((disks) => disks.map((disk) => (disk.number === number ? { ...disk, ...change } : disk)));
  }

  async #changeDisks(change: (disks: HostRecord['disks']) => HostRecord['disks']): Promise<void> {
    const { coordination, host } = this.#options;
    await changeHost(coordination, host, (record) => {
      if (!record) throw new Error(`host ${host} is not registered`);
      return { ...record, disks: change(record.disks) };
    });
    this.#host.hurry();
  }

  /** Tells where this host is, and which disks it has open. */
  async #register(): Promise<void> {
    const { host, name, zone, coordination, clock, disks, state, network } = this.#options;
    const self = { id: host, name, zone, publicKey: network?.publicKey ?? '', addresses: network?.addresses ?? [] };
    const opened = disks.map(({ number, record, space }) => {
      return { number, weight: space.report().total, opens: record.opens };
    });
    for (;;) {
      try {
        if (network === null) await registerHost(coordination, self, state.incarnation, opened);
        else {
          await changeHost(coordination, host, (before) => {
            if (!before || before.banned) throw removedError();
            return withOpened(before, self, state.incarnation, opened);
          });
        }
        return;
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        await pause(clock, RETRY_MS);
      }
    }
  }

  /** What groups are placed by. */
  #placement(): PlacementHost[] {
    const { host, zone, disks, hosts, network } = this.#options;
    if (network !== null) return placementHosts(new MapDraft(this.map, hosts.records, {}, this.#mapOptions));
    // Of a host alone, one that the map does not have yet is about to be in it.
    const isIn = (disk: number) => (this.map.disks[disk]?.standing ?? 'in') === 'in';
    const usable = disks.filter(({ number, failed }) => failed === null && isIn(number));
    const weighed = usable.map(({ number, space }) => ({ number, weight: space.report().total }));
    return [{ id: host, zone, disks: weighed.sort((a, b) => a.number - b.number) }];
  }

  #pgOf(family: number, index: number): number {
    let offset = this.#offsets.get(family);
    if (offset === undefined) {
      offset = familyOffset(family, PGS_DEFAULT);
      this.#offsets.set(family, offset);
    }
    return groupAt(offset, index, PGS_DEFAULT);
  }
}
