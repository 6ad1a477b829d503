import {
  type Administration,
  AdministrationError,
  type ClusterInfo,
  type DiskStatus,
  type ForcedRemoval,
  type HostStatus,
  type RecoveryStatus,
  type Status,
  type Token,
  type VdiExport,
  type VdiImport,
  type VdiInfo,
  type WorkStatus,
} from '../control/administration.js';
import { Works } from '../control/works.js';
import { OBJECT_BYTES } from '../replication/object-io.js';
import { StoreError } from '../store/index.js';
import type { Vdis } from '../vdi/vdis.js';
import type { ClusterStatus } from './cluster-status.js';
import type { HostDisks } from './disks.js';
import { ImageAdministration } from './image-administration.js';
import type { NodeAdministration } from './node-administration.js';
import type { StateDirectory } from './state.js';
import type { Tokens } from './tokens.js';
import { VERSION } from './version.js';

/** After an answer to `shutdown`, so that it is sent before the control socket goes. */
const SHUTDOWN_DELAY_MS = 100;

export interface DaemonAdministrationOptions {
  /** Copies of each object of a new image, this host's name, and where the images are. */
  configuration: { copies: number; name: string; mount: string };
  state: StateDirectory;
  vdis: Vdis;
  disks: HostDisks;
  cluster: ClusterStatus;
  nodes(works: Works): NodeAdministration;
  tokens: Tokens;
  /** Ends this host or, where there are others, all of them. */
  onShutdown: () => Promise<void>;
  onDefect: (error: unknown) => void;
}

/** What this daemon can be asked; the images' part is next door. */
export class DaemonAdministration implements Administration {
  readonly #options: DaemonAdministrationOptions;
  readonly #images: ImageAdministration;
  readonly #works: Works;
  readonly #nodes: NodeAdministration;

  constructor(options: DaemonAdministrationOptions) {
    this.#options = options;
    const { vdis, cluster, configuration } = options;
    const { copies } = configuration;
    const free = () => cluster.space(copies).free;
    this.#images = new ImageAdministration({ vdis, opens: (vdi) => cluster.opens(vdi), copies, free });
    this.#works = new Works(options.onDefect);
    this.#nodes = options.nodes(this.#works);
  }

  /** Goes on with removals that an earlier process had begun. */
  resume(): void {
    for (const { state, number } of this.#options.disks.status()) {
      if (state === 'removing') this.#startRemoval(number);
    }
    this.#nodes.resume();
  }

  /** Ends what is being watched; the work itself is found again at the next start. */
  close(): Promise<void> {
    return this.#works.close();
  }

  async status(): Promise<Status> {
    const { cluster, vdis } = this.#options;
    const { groups, hosts, capacity, recovery } = cluster;
    const { disks: _, ...progress } = recovery;
    const isWhole = hosts.every(
      ({ state, disks }) => state !== 'down' && disks.every((disk) => disk.state !== 'failed'),
    );
    return {
      healthy: isWhole && groups.healthy === groups.total,
      ...{ version: VERSION, hosts, capacity, recovery: progress },
      groups: {
        ...{ total: groups.total, healthy: groups.healthy, moving: groups.moving },
        ...{ degraded: groups.degraded, single: groups.single, stopped: groups.stopped },
      },
      ...{ vdis: await vdis.count(), problems: cluster.problems(hosts, groups) },
    };
  }

  async recovery(): Promise<RecoveryStatus> {
    return this.#options.cluster.recovery;
  }

  token(options: { ttlSeconds?: number; uses?: number }): Promise<Token | null> {
    return this.#options.tokens.make(options);
  }

  async nodeList(): Promise<HostStatus[]> {
    return this.#options.cluster.hosts;
  }

  nodeDrain(which: string): Promise<WorkStatus> {
    return this.#nodes.drain(which);
  }

  nodeUndrain(which: string): Promise<void> {
    return this.#nodes.undrain(which);
  }

  nodeRemove(which: string): Promise<WorkStatus> {
    return this.#nodes.remove(which);
  }

  nodeForceRemove(which: string): Promise<ForcedRemoval> {
    return this.#nodes.forceRemove(which);
  }

  async clusterInfo(): Promise<ClusterInfo> {
    const { configuration, state, cluster, vdis } = this.#options;
    const { hosts, groups } = cluster;
    return {
      id: state.identity.cluster,
      created: state.identity.created,
      copies: configuration.copies,
      groups: groups.total,
      objectSize: OBJECT_BYTES,
      hosts: hosts.length,
      disks: hosts.reduce((sum, { disks }) => sum + disks.length, 0),
      vdis: await vdis.count(),
    };
  }

  async shutdown({ force }: { force: boolean }): Promise<void> {
    const { onShutdown, onDefect } = this.#options;
    const open = force ? [] : (await this.vdiList()).filter((vdi) => vdi.opens > 0).map((vdi) => vdi.name);
    if (open.length > 0) {
      throw new AdministrationError(
        'IN_USE',
        `${open.join(', ')} ${open.length === 1 ? 'is' : 'are'} open`,
        'stop the guests, or give --force',
      );
    }
    setTimeout(() => onShutdown().catch(onDefect), SHUTDOWN_DELAY_MS);
  }

  vdiList(): Promise<VdiInfo[]> {
    return this.#images.list();
  }

  vdiInfo(name: string): Promise<VdiInfo> {
    return this.#images.info(name);
  }

  vdiCreate(name: string, size: number, options: { copies?: number }): Promise<VdiInfo> {
    return this.#images.create(name, size, options);
  }

  vdiResize(name: string, size: number, options: { shrink: boolean }): Promise<VdiInfo> {
    return this.#images.resize(name, size, options);
  }

  vdiDelete(name: string, options: { force: boolean }): Promise<void> {
    return this.#images.delete(name, options);
  }

  vdiClone(name: string, newName: string): Promise<VdiInfo> {
    return this.#images.clone(name, newName);
  }

  vdiExport(name: string): Promise<VdiExport> {
    return this.#images.export(name);
  }

  vdiImport(name: string, options: { size?: number }): Promise<VdiImport> {
    return this.#images.import(name, options);
  }

  async diskList(): Promise<DiskStatus[]> {
    return this.#options.disks.status();
  }

  async diskAdd(directory: string): Promise<WorkStatus> {
    const { disks } = this.#options;
    const present = disks.find(directory);
    if (present) {
      const work = this.#works.find(`add ${present.number}`);
      if (work) return work;
      throw new AdministrationError('EXISTS', `${directory} is disk ${present.number} already`);
    }
    let number: number;
    try {
      ({ number } = await disks.add(directory));
    } catch (error) {
      if (error instanceof StoreError) throw new AdministrationError('INVALID', error.message);
      throw error;
    }
    return this.#works.start(`add ${number}`, `adding disk ${number} (${directory})`, 'groups', (report, signal) =>
      disks.settled(number, false, report, signal),
    );
  }

  async diskRemove(disk: number | string): Promise<WorkStatus> {
    const { disks } = this.#options;
    const entry = disks.find(disk);
    if (!entry) throw new AdministrationError('NOT_FOUND', `there is no disk ${disk}`, '"dog disk list" shows them');
    if (entry.state !== 'removing') await disks.startRemoval(entry.number);
    return this.#startRemoval(entry.number);
  }

  #startRemoval(number: number): WorkStatus {
    const { disks } = this.#options;
    const directory = disks.find(number)?.directory;
    return this.#works.start(
      `remove ${number}`,
      `removing disk ${number} (${directory})`,
      'groups',
      async (report, signal) => {
        await disks.settled(number, true, report, signal);
        await disks.finishRemoval(number);
      },
    );
  }

  followWork(id: string, signal: AbortSignal): AsyncIterable<WorkStatus> {
    return this.#works.follow(id, signal);
  }
}
