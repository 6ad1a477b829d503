/** A host that is alone in its cluster, as its worker runs it, on real disks. */
import { join } from 'node:path';
import { readAllDisks } from '../../lib/cluster/all-disks.js';
import type { MapGroup } from '../../lib/cluster/cluster-map.js';
import { HostClock } from '../../lib/cluster/host-clock.js';
import { HostsWatch } from '../../lib/cluster/hosts-watch.js';
import type { Coordination } from '../../lib/coordination/coordination.js';
import { openLocal } from '../../lib/coordination/local.js';
import { HostCluster } from '../../lib/daemon/host-cluster.js';
import { HostStateFile } from '../../lib/daemon/host-state.js';
import type { Logger } from '../../lib/daemon/log.js';
import type { Disk } from '../../lib/store/index.js';
import { FamilyWatch } from '../../lib/vdi/family-watch.js';
import type { Vdi } from '../../lib/vdi/vdi.js';
import { Vdis } from '../../lib/vdi/vdis.js';
import { until } from './until.js';

/** Everything that moves has come to rest by then, on a machine that has other things to do. */
const SETTLED_MS = 60_000;
const COPIES = 1;

export class LoneHost {
  readonly cluster: HostCluster;
  readonly vdis: Vdis;
  /** What went wrong in the background. */
  readonly failures: unknown[];
  readonly #disks: Disk[];
  readonly #coordination: Coordination;
  readonly #families: FamilyWatch;
  readonly #hosts: HostsWatch;
  readonly #state: HostStateFile;
  #closing: Promise<void> | null = null;

  private constructor(parts: {
    cluster: HostCluster;
    vdis: Vdis;
    failures: unknown[];
    disks: Disk[];
    coordination: Coordination;
    families: FamilyWatch;
    hosts: HostsWatch;
    state: HostStateFile;
  }) {
    this.cluster = parts.cluster;
    this.vdis = parts.vdis;
    this.failures = parts.failures;
    this.#disks = parts.disks;
    this.#coordination = parts.coordination;
    this.#families = parts.families;
    this.#hosts = parts.hosts;
    this.#state = parts.state;
  }

  /** @param directory what the host keeps besides its disks: another start finds it there */
  static async start(directory: string, disks: readonly Disk[]): Promise<LoneHost> {
    const coordination = await openLocal(join(directory, 'coordination'));
    const state = HostStateFile.open(directory);
    const families = new FamilyWatch(coordination);
    await families.open();
    const hosts = new HostsWatch(coordination);
    await hosts.open();
    const clock = new HostClock();
    const failures: unknown[] = [];
    const log = { info() {}, debug() {}, warn() {}, error: (error: unknown) => failures.push(error) };
    const open = [...disks];
    const cluster = await HostCluster.open({
      ...{ host: 'h', name: 'h', zone: 'h', bootId: 'boot', coordination, clock, state, layers: families },
      ...{
        hosts,
        network: null,
        written: async () => {},
        inheritsHandles: false,
        disks: open,
        copies: COPIES,
        log: log as unknown as Logger,
      },
    });
    await cluster.start();
    const vdis = new Vdis({
      ...{ coordination, host: 'h', clock, families, objects: cluster.replica },
      allDisks: () => readAllDisks(coordination),
      isOpen: () => false,
      onError: (error) => failures.push(error),
    });
    await vdis.start();
    return new LoneHost({ cluster, vdis, failures, disks: open, coordination, families, hosts, state });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Everything but its disks, which the caller has opened. */
  async #close(): Promise<void> {
    await this.vdis.close();
    await this.cluster.close();
    this.#families.close();
    this.#hosts.close();
    this.#state.close();
    await this.#coordination.close();
  }

  async create(name: string, size: number): Promise<Vdi> {
    const { id } = await this.vdis.create(name, { size, mode: 0o600, uid: 0, gid: 0, copies: COPIES });
    return this.vdis.load(id);
  }

  async add(disk: Disk): Promise<void> {
    this.#disks.push(disk);
    await this.cluster.diskAdded(disk);
  }

  /** Resolves when no group names the disk any more. */
  async empty(disk: Disk): Promise<void> {
    await this.cluster.setStanding(disk.number, 'removing');
    await until(`disk ${disk.number} to be empty`, () => !this.cluster.uses(disk.number), SETTLED_MS);
  }

  /** Lets an emptied disk go, and closes it. */
  async remove(disk: Disk): Promise<void> {
    await this.cluster.forgetDisk(disk.number);
    this.#disks.splice(this.#disks.indexOf(disk), 1);
    await disk.close();
  }

  /** Resolves when every group is where it belongs, and nowhere else. */
  async settled(): Promise<void> {
    await until('all groups to be in their place', () => this.cluster.toMove === 0, SETTLED_MS);
  }

  groups(): readonly MapGroup[] {
    return this.cluster.map.tables[COPIES]!;
  }
}
