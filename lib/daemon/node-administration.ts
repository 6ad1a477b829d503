import { aliveKey } from '../cluster/alive-record.js';
import { changeHost } from '../cluster/change-host.js';
import { type Clock, pause } from '../cluster/clock.js';
import { type ClusterMap, type Standing, zonesForData } from '../cluster/cluster-map.js';
import { bestCopies, ForceRemovalError, groupsOnlyOn } from '../cluster/force-removal.js';
import { type HostRecord, hostKey } from '../cluster/host-record.js';
import type { HostsWatch } from '../cluster/hosts-watch.js';
import { type Image, imagesAtRisk } from '../cluster/images-at-risk.js';
import { isUnavailable } from '../cluster/patient-coordination.js';
import { removeByForce } from '../cluster/remove-by-force.js';
import { AdministrationError, type ForcedRemoval, type WorkStatus } from '../control/administration.js';
import type { Works } from '../control/works.js';
import type { Coordination } from '../coordination/coordination.js';
import { abortable } from './abortable.js';
import { directoriesKey } from './disk-directories.js';
import { reportKey } from './host-report.js';

/** Between two looks whether another host has taken over what one keeps that is to go. */
const STORE_LOOK_MS = 1000;

export interface NodeAdministrationOptions {
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly hosts: HostsWatch;
  readonly works: Works;
  readonly ttlMs: number;
  readonly pgs: number;
  map(): ClusterMap;
  /** See Membership. */
  keepsStore(host: string): Promise<boolean>;
  /** Resolves when another map was adopted. */
  nextMap(): Promise<void>;
  /** What may lose something when a host is given up. */
  images(): Promise<Image[]>;
}

/** Hosts that give their data away, leave, or are given up. */
export class NodeAdministration {
  readonly #options: NodeAdministrationOptions;

  constructor(options: NodeAdministrationOptions) {
    this.#options = options;
  }

  /** Goes on with what an earlier process, or another host, had begun. */
  resume(): void {
    for (const record of this.#options.hosts.records) if (record.standing === 'out') this.#startRemoval(record);
  }

  async drain(which: string): Promise<WorkStatus> {
    const record = this.#find(which);
    if (record.standing === 'out') throw this.#isLeaving(record);
    this.#checkOthers(record);
    this.#checkZones(record);
    await this.#setStanding(record, 'draining');
    return this.#options.works.start(`drain ${record.id}`, `draining host ${record.name}`, 'groups', (report, signal) =>
      this.#emptied(record, report, signal),
    );
  }

  async undrain(which: string): Promise<void> {
    const record = this.#find(which);
    if (record.standing === 'out') throw this.#isLeaving(record);
    await this.#setStanding(record, 'in');
  }

  async remove(which: string): Promise<WorkStatus> {
    const record = this.#find(which);
    this.#checkOthers(record);
    const only = groupsOnlyOn(this.#options.map(), record.id).length;
    const isUp = this.#options.map().hosts[record.id]?.up === true;
    if (!isUp && only > 0) {
      throw new AdministrationError(
        'WOULD_LOSE_DATA',
        `host ${record.name} is down, and ${only} groups have their only complete copy there`,
        'start it, or give it up with what only it has: --force',
      );
    }
    await this.#setStanding(record, 'out');
    return this.#startRemoval(record);
  }

  async forceRemove(which: string): Promise<ForcedRemoval> {
    const record = this.#find(which);
    const { coordination, clock, ttlMs, pgs } = this.#options;
    try {
      const lost = await removeByForce({
        ...{ coordination, clock, ttlMs, host: record.id },
        choose: async (map, groups) => bestCopies(map, record.id, groups, []),
      });
      return { groups: lost.length, images: imagesAtRisk(lost, await this.#options.images(), pgs) };
    } catch (error) {
      if (!(error instanceof ForceRemovalError)) throw error;
      const code = error.code === 'UNKNOWN_HOST' ? 'NOT_FOUND' : error.code === 'CONTENDED' ? 'BUSY' : 'INVALID';
      throw new AdministrationError(code, error.message);
    }
  }

  #startRemoval(record: HostRecord): WorkStatus {
    return this.#options.works.start(
      `remove ${record.id}`,
      `removing host ${record.name}`,
      'groups',
      async (report, signal) => {
        await this.#emptied(record, report, signal);
        await this.#storeKept(record, signal);
        await this.#forget(record);
      },
    );
  }

  /** Resolves when no group names a disk of the host. */
  async #emptied(
    { id }: HostRecord,
    report: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let total = this.#groupsOf(id);
    for (let left = total; left > 0; left = this.#groupsOf(id)) {
      total = Math.max(total, left);
      report(total - left, total);
      await abortable(this.#options.nextMap(), signal);
    }
    report(total, total);
  }

  #groupsOf(host: string): number {
    const { tables, disks } = this.#options.map();
    const isOn = (disk: number) => disks[disk]?.host === host;
    return Object.values(tables)
      .flat()
      .filter(({ acting, insync }) => acting.some(isOn) || insync.some(isOn)).length;
  }

  /** Resolves when the host keeps nothing any more that all agree by: others have taken that over. */
  async #storeKept({ id }: HostRecord, signal: AbortSignal): Promise<void> {
    const { keepsStore, clock } = this.#options;
    const isNeeded = () =>
      keepsStore(id).catch((error) => {
        // A member that comes or goes costs moments; it is asked again.
        if (isUnavailable(error)) return true;
        throw error;
      });
    while (await isNeeded()) await abortable(pause(clock, STORE_LOOK_MS), signal);
  }

  /** Its admission ends with its record, everywhere. */
  async #forget({ id }: HostRecord): Promise<void> {
    const { coordination } = this.#options;
    const keys = [hostKey(id), directoriesKey(id), reportKey(id), aliveKey(id)];
    await coordination.transaction({ success: keys.map((key) => ({ delete: key })) });
  }

  async #setStanding({ id }: HostRecord, standing: Standing): Promise<void> {
    await changeHost(this.#options.coordination, id, (record) => {
      if (!record) throw new AdministrationError('NOT_FOUND', `host ${id} is gone`);
      return { ...record, standing };
    });
  }

  /** By name, or by id where names are not unique. */
  #find(which: string): HostRecord {
    const { records } = this.#options.hosts;
    const found = records.filter(({ id, name }) => id === which || name === which);
    if (found.length === 0) {
      throw new AdministrationError('NOT_FOUND', `there is no host ${which}`, "'dog node list' shows them");
    }
    if (found.length > 1) {
      const ids = found.map(({ id }) => id).join(', ');
      throw new AdministrationError('INVALID', `several hosts are called ${which}`, `name one by its id: ${ids}`);
    }
    return found[0]!;
  }

  /** Its data has to go somewhere. */
  #checkOthers({ id, name }: HostRecord): void {
    const others = this.#options.hosts.records.filter((other) => {
      return other.id !== id && other.standing === 'in' && other.disks.some(({ standing }) => standing === 'in');
    });
    if (others.length > 0) return;
    throw new AdministrationError('INVALID', `no other host could take what ${name} has`, 'add another host first');
  }

  /** Draining lowers no number of copies: where every zone has one, it would never end. */
  #checkZones({ id, name }: HostRecord): void {
    const { hosts, map } = this.#options;
    const zones = new Set<string>();
    for (const other of hosts.records) {
      if (other.id !== id && other.standing === 'in' && other.disks.length > 0) zones.add(other.zone);
    }
    const copies = Math.max(0, ...Object.keys(map().tables).map(Number));
    const held = zonesForData(map());
    if (zones.size >= Math.min(copies, held)) return;
    throw new AdministrationError(
      'INVALID',
      `images have up to ${copies} copies, and without ${name} there are hosts for ${zones.size}`,
      `add another host first, or give the host up with fewer copies: 'dog node remove ${name}'`,
    );
  }

  #isLeaving({ name }: HostRecord): AdministrationError {
    return new AdministrationError('BUSY', `host ${name} is being removed`, 'wait until it is gone');
  }
}
