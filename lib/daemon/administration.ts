import { readFileSync } from 'node:fs';
import {
  type Administration,
  AdministrationError,
  type ClusterInfo,
  type DiskStatus,
  type Problem,
  type Status,
  type VdiExport,
  type VdiImport,
  type VdiInfo,
  type WorkStatus,
} from '../control/administration.js';
import { Works } from '../control/works.js';
import type { Handles } from '../filesystem/handles.js';
import { OBJECT_BYTES } from '../replication/object-io.js';
import { StoreError } from '../store/index.js';
import type { Vdis } from '../vdi/vdis.js';
import type { HostDisks } from './disks.js';
import { ImageAdministration } from './image-administration.js';
import type { StateDirectory } from './state.js';

/** After an answer to `shutdown`, so that it is sent before the control socket goes. */
const SHUTDOWN_DELAY_MS = 100;

const VERSION: string = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version;

export interface DaemonAdministrationOptions {
  /** Copies of each object of a new image, this host's name, and where the images are. */
  configuration: { copies: number; name: string; mount: string };
  state: StateDirectory;
  vdis: Vdis;
  handles: Handles;
  disks: HostDisks;
  onShutdown: () => void;
  onDefect: (error: unknown) => void;
}

/** What this daemon can be asked; the images' part is next door. */
export class DaemonAdministration implements Administration {
  readonly #options: DaemonAdministrationOptions;
  readonly #images: ImageAdministration;
  readonly #works: Works;

  constructor(options: DaemonAdministrationOptions) {
    this.#options = options;
    const { vdis, handles, disks, configuration } = options;
    const free = () => disks.space().free;
    this.#images = new ImageAdministration({ vdis, handles, copies: configuration.copies, free });
    this.#works = new Works(options.onDefect);
  }

  /** Goes on with removals that an earlier process had begun. */
  resume(): void {
    for (const { state, number } of this.#options.disks.status()) {
      if (state === 'removing') this.#startRemoval(number);
    }
  }

  /** Ends what is being watched; the work itself is found again at the next start. */
  close(): Promise<void> {
    return this.#works.close();
  }

  async status(): Promise<Status> {
    const { configuration, state, disks, vdis } = this.#options;
    const { identity } = state;
    const all = disks.status();
    const groups = disks.groups();
    const { total, free } = disks.space();
    const pending = disks.pending();
    const { name, mount } = configuration;
    return {
      healthy: groups.healthy === groups.total && all.every((disk) => disk.state !== 'failed'),
      version: VERSION,
      hosts: [{ id: identity.host, name, state: 'up', mount, disks: all }],
      capacity: { size: total, used: total - free, free },
      groups,
      recovery: {
        active: pending > 0,
        done: groups.total - pending,
        total: groups.total,
        unit: 'groups',
        secondsLeft: null,
      },
      vdis: await vdis.count(),
      problems: all.flatMap(problemsOf),
    };
  }

  async clusterInfo(): Promise<ClusterInfo> {
    const { configuration, state, disks, vdis } = this.#options;
    return {
      id: state.identity.cluster,
      created: state.identity.created,
      copies: configuration.copies,
      groups: disks.groups().total,
      objectSize: OBJECT_BYTES,
      hosts: 1,
      disks: disks.status().length,
      vdis: await vdis.count(),
    };
  }

  async shutdown({ force }: { force: boolean }): Promise<void> {
    const { handles, onShutdown } = this.#options;
    if (handles.size > 0 && !force) {
      const open = (await this.vdiList()).filter((vdi) => vdi.opens > 0).map((vdi) => vdi.name);
      throw new AdministrationError(
        'IN_USE',
        `${open.join(', ')} ${open.length === 1 ? 'is' : 'are'} open`,
        'stop the guests, or give --force',
      );
    }
    setTimeout(onShutdown, SHUTDOWN_DELAY_MS);
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

function problemsOf(disk: DiskStatus): Problem[] {
  const name = `disk ${disk.number} (${disk.directory})`;
  if (disk.state === 'failed') {
    return [
      {
        severity: 'error',
        message: `${name} is out of use: ${disk.problem}`,
        action: 'repair it and restart sheep; what it holds cannot be read until then',
      },
    ];
  }
  if (disk.state === 'full') {
    return [
      { severity: 'error', message: `${name} is full`, action: 'delete images or add a disk with "dog disk add"' },
    ];
  }
  return [];
}
