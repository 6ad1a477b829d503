import type { ClusterMap, MapDisk, MapGroup, MapHost } from './cluster-map.js';
import type { HostDiskRecord, HostRecord } from './host-record.js';
import type { NextMapOptions, Observed } from './observation.js';

/**
 * The next map while it is being made: the steps change it in turn and ask it what holds now. Its answers are about the
 * hosts and disks as the steps before left them.
 */
export class MapDraft {
  readonly options: NextMapOptions;
  /** Of the map that is being made. */
  readonly epoch: number;
  readonly records: ReadonlyMap<string, HostRecord>;
  readonly #map: ClusterMap;
  readonly #observed: Readonly<Record<string, Observed>>;
  readonly #hosts: Record<string, MapHost>;
  readonly #disks: Record<number, MapDisk>;
  readonly #tables: Record<number, MapGroup[]>;
  readonly #diskRecords = new Map<number, HostDiskRecord>();
  /** Null once a disk came or went: the steps ask for them again and again. */
  #diskNumbers: readonly number[] | null = null;
  #isChanged = false;

  constructor(
    map: ClusterMap,
    hosts: readonly HostRecord[],
    observed: Readonly<Record<string, Observed>>,
    options: NextMapOptions,
  ) {
    this.options = options;
    this.epoch = map.epoch + 1;
    this.records = new Map(hosts.map((record) => [record.id, record]));
    for (const { disks } of hosts) for (const disk of disks) this.#diskRecords.set(disk.number, disk);
    this.#map = map;
    this.#observed = observed;
    this.#hosts = { ...map.hosts };
    this.#disks = { ...map.disks };
    this.#tables = Object.fromEntries(Object.entries(map.tables).map(([copies, groups]) => [copies, [...groups]]));
  }

  /** The map it was made from where nothing changed. */
  finish(): ClusterMap {
    if (!this.#isChanged) return this.#map;
    return {
      format: this.#map.format,
      epoch: this.epoch,
      hosts: this.#hosts,
      disks: this.#disks,
      tables: this.#tables,
    };
  }

  // Hosts.

  get hostIds(): string[] {
    return Object.keys(this.#hosts);
  }

  host(id: string): MapHost | undefined {
    return this.#hosts[id];
  }

  setHost(id: string, host: MapHost): void {
    const before = this.#hosts[id];
    if (before !== undefined && isSameHost(before, host)) return;
    this.#hosts[id] = host;
    this.#isChanged = true;
  }

  forgetHost(id: string): void {
    delete this.#hosts[id];
    this.#isChanged = true;
  }

  observed(id: string): Observed | undefined {
    return this.#observed[id];
  }

  /** Whether the host has renewed within half a TTL, with the boot id that the map has it up with. */
  isHostFresh(id: string): boolean {
    const [host, observed] = [this.#hosts[id], this.#observed[id]];
    if (host === undefined || observed === undefined || !host.up) return false;
    return observed.bootId === host.bootId && this.hasRenewed(observed);
  }

  hasRenewed({ renewedMs }: Observed): boolean {
    return renewedMs !== null && renewedMs <= this.options.ttlMs / 2;
  }

  // Disks.

  get diskNumbers(): readonly number[] {
    this.#diskNumbers ??= Object.keys(this.#disks).map(Number);
    return this.#diskNumbers;
  }

  disk(number: number): MapDisk | undefined {
    return this.#disks[number];
  }

  diskRecord(number: number): HostDiskRecord | undefined {
    return this.#diskRecords.get(number);
  }

  setDisk(number: number, disk: MapDisk): void {
    const before = this.#disks[number];
    if (before !== undefined && isSameDisk(before, disk)) return;
    this.#disks[number] = disk;
    if (before === undefined) this.#diskNumbers = null;
    this.#isChanged = true;
  }

  forgetDisk(number: number): void {
    delete this.#disks[number];
    this.#diskNumbers = null;
    this.#isChanged = true;
  }

  /** The host of a disk, as the map has it. */
  hostOf(disk: number): MapHost | undefined {
    const id = this.#disks[disk]?.host;
    return id === undefined ? undefined : this.#hosts[id];
  }

  zoneOf(disk: number): string {
    const id = this.#disks[disk]?.host ?? '';
    return this.records.get(id)?.zone ?? id;
  }

  zonesOf(disks: readonly number[]): number {
    return new Set(disks.map((disk) => this.zoneOf(disk))).size;
  }

  /** Whether a copy on the disk can be used: its host is up, reports it open, and it did not fail. */
  isPresent(disk: number): boolean {
    const found = this.#disks[disk];
    return found !== undefined && found.standing !== 'failed' && !found.absent && this.#hosts[found.host]?.up === true;
  }

  /** Whether it is present, and its host has renewed within half a TTL with the map's boot id. */
  isFresh(disk: number): boolean {
    return this.isPresent(disk) && this.isHostFresh(this.#disks[disk]!.host);
  }

  observedOf(disk: number): Observed | undefined {
    const id = this.#disks[disk]?.host;
    return id === undefined ? undefined : this.#observed[id];
  }

  /** Whether its host starts over and over, so that its disks are out for a time. */
  isKeptOut(disk: number): boolean {
    return (this.observedOf(disk)?.keptOutMs ?? null) !== null;
  }

  /** Whether the disk may become a member of a group now. */
  mayJoin(disk: number): boolean {
    if (!this.isFresh(disk) || this.isKeptOut(disk)) return false;
    const { standing, room } = this.#disks[disk]!;
    return standing === 'in' && room !== 'none' && this.hostOf(disk)!.standing === 'in';
  }

  // Groups.

  get tables(): { copies: number; groups: readonly MapGroup[] }[] {
    return Object.entries(this.#tables).map(([copies, groups]) => ({ copies: Number(copies), groups }));
  }

  group(copies: number, pg: number): MapGroup | undefined {
    return this.#tables[copies]?.[pg];
  }

  /** `step` answers the group it was given where it changes nothing. */
  changeGroup(copies: number, pg: number, step: (group: MapGroup) => MapGroup): void {
    const before = this.#tables[copies]![pg]!;
    const after = step(before);
    if (after === before) return;
    this.#tables[copies]![pg] = after;
    this.#isChanged = true;
  }

  changeGroups(step: (group: MapGroup, copies: number) => MapGroup): void {
    for (const { copies, groups } of this.tables) {
      for (let pg = 0; pg < groups.length; pg++) this.changeGroup(copies, pg, (group) => step(group, copies));
    }
  }

  addTable(copies: number, groups: readonly MapGroup[]): void {
    this.#tables[copies] = [...groups];
    this.#isChanged = true;
  }
}

function isSameDisk(one: MapDisk, other: MapDisk): boolean {
  return (
    one.host === other.host && one.standing === other.standing && one.absent === other.absent && one.room === other.room
  );
}

function isSameHost(one: MapHost, other: MapHost): boolean {
  return (
    one.up === other.up &&
    one.standing === other.standing &&
    one.incarnation === other.incarnation &&
    one.bootId === other.bootId &&
    one.zone === other.zone
  );
}
