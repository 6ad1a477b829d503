import {
  type Administration,
  AdministrationError,
  type ClusterInfo,
  type DiskStatus,
  type Extent,
  type Problem,
  type Status,
  type VdiExport,
  type VdiImport,
  type VdiInfo,
  type WorkStatus,
} from '../../lib/control/administration.js';
import { type Report, Works } from '../../lib/control/works.js';
import { MemoryImage } from './memory-image.js';

const GROUPS = 1024;
const GROUPS_A_STEP = 128;
const T = 1024 ** 4;
const CREATED = '2026-01-02T03:04:05.000Z';

interface Vdi extends VdiInfo {
  image: MemoryImage;
}

/** A daemon's answers without a daemon: keeps its images and disks in memory, and the rules that dog relies on. */
export class MemoryAdministration implements Administration {
  readonly vdis = new Map<string, Vdi>();
  readonly disks: DiskStatus[] = [disk(1, '/srv/a', 0.6 * T), disk(2, '/srv/b', 0.3 * T)];
  readonly problems: Problem[] = [];
  readonly works: Works;
  /** How often an import was given up. */
  aborted = 0;
  /** How often somebody began to watch long work. */
  watched = 0;
  /** What long work, exports and imports wait for before each step. */
  pace: () => Promise<void> = async () => {};
  /** What the end of the daemon is. */
  onShutdown: () => void = () => {};
  private readonly importing = new Set<string>();
  private nextVdi = 1;

  constructor(onDefect: (error: unknown) => void) {
    this.works = new Works(onDefect);
  }

  async status(): Promise<Status> {
    const working = this.disks.filter(({ state }) => state !== 'failed');
    const size = working.reduce((sum, disk) => sum + disk.size, 0);
    const used = working.reduce((sum, disk) => sum + disk.used, 0);
    const failed = this.disks.length - working.length;
    return {
      healthy: failed === 0,
      version: '0.1.0',
      hosts: [{ id: 'h1', name: 'alpha', state: 'up', mount: '/var/lib/sheepdog', disks: [...this.disks] }],
      capacity: { size, used, free: size - used },
      groups: { total: GROUPS, healthy: failed === 0 ? GROUPS : 400, moving: failed === 0 ? 0 : 24 },
      recovery: {
        active: failed > 0,
        done: failed > 0 ? 100 : 0,
        total: failed > 0 ? 624 : 0,
        unit: 'groups',
        secondsLeft: failed > 0 ? 95 : null,
      },
      vdis: this.vdis.size,
      problems: this.problems,
    };
  }

  async clusterInfo(): Promise<ClusterInfo> {
    const counts = { groups: GROUPS, hosts: 1, disks: this.disks.length, vdis: this.vdis.size };
    return { id: 'c0ffee', created: CREATED, copies: 3, objectSize: 4 * 1024 * 1024, ...counts };
  }

  async shutdown({ force }: { force: boolean }): Promise<void> {
    const open = [...this.vdis.values()].find(({ opens }) => opens > 0);
    if (open && !force) throw inUse(open.name);
    this.onShutdown();
  }

  async vdiList(): Promise<VdiInfo[]> {
    return [...this.vdis.values()].map(info).sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  async vdiInfo(name: string): Promise<VdiInfo> {
    return info(this.find(name));
  }

  async vdiCreate(name: string, size: number, { copies }: { copies?: number }): Promise<VdiInfo> {
    return info(this.add(name, size, copies ?? 3, new MemoryImage(), null));
  }

  async vdiResize(name: string, size: number, { shrink }: { shrink: boolean }): Promise<VdiInfo> {
    const vdi = this.find(name);
    if (size < vdi.size && !shrink) {
      const hint = 'give --shrink to do so';
      throw new AdministrationError('WOULD_LOSE_DATA', `${name} would get smaller and lose the data beyond`, hint);
    }
    vdi.size = size;
    return info(vdi);
  }

  async vdiDelete(name: string, { force }: { force: boolean }): Promise<void> {
    if (this.find(name).opens > 0 && !force) throw inUse(name);
    this.vdis.delete(name);
  }

  async vdiClone(name: string, newName: string): Promise<VdiInfo> {
    const source = this.find(name);
    return info(this.add(newName, source.size, source.copies, source.image.copy(), name));
  }

  async vdiExport(name: string): Promise<VdiExport> {
    const { image, size } = this.find(name);
    const paced = async function* (pace: () => Promise<void>): AsyncGenerator<Extent, void> {
      for (const extent of image.extents(size)) {
        await pace();
        yield extent;
      }
    };
    return { size, used: image.used, extents: paced(() => this.pace()) };
  }

  async vdiImport(name: string): Promise<VdiImport> {
    this.refuseTaken(name);
    this.importing.add(name);
    const image = new MemoryImage();
    return {
      write: async (extent) => {
        await this.pace();
        image.write(extent);
      },
      finish: async (size) => {
        this.importing.delete(name);
        return info(this.add(name, size, 3, image, null));
      },
      abort: async () => {
        this.importing.delete(name);
        this.aborted++;
      },
    };
  }

  async diskList(): Promise<DiskStatus[]> {
    return [...this.disks];
  }

  async diskAdd(directory: string): Promise<WorkStatus> {
    const running = this.works.find(`add ${directory}`);
    if (running) return running;
    if (this.disks.some((disk) => disk.directory === directory)) {
      throw new AdministrationError('EXISTS', `${directory} is a disk already`);
    }
    const added: DiskStatus = { ...disk(this.disks.length + 1, directory, 0), state: 'adding' };
    this.disks.push(added);
    return this.works.start(
      `add ${directory}`,
      `adding disk ${added.number} (${directory})`,
      'groups',
      async (report) => {
        await this.move(report);
        added.state = 'ok';
      },
    );
  }

  async diskRemove(which: number | string): Promise<WorkStatus> {
    const removed = this.disks.find(({ number, directory }) => which === number || which === directory);
    if (!removed) throw new AdministrationError('NOT_FOUND', `there is no disk ${which}`, "'dog disk list' shows them");
    if (this.disks.length === 1) {
      throw new AdministrationError('NO_SPACE', `${removed.directory} is the only disk`, 'add another one first');
    }
    removed.state = 'removing';
    const title = `removing disk ${removed.number} (${removed.directory})`;
    return this.works.start(`remove ${removed.number}`, title, 'groups', async (report) => {
      await this.move(report);
      this.disks.splice(this.disks.indexOf(removed), 1);
    });
  }

  followWork(id: string, signal: AbortSignal): AsyncIterable<WorkStatus> {
    this.watched++;
    return this.works.follow(id, signal);
  }

  private async move(report: Report): Promise<void> {
    for (let done = 0; done <= GROUPS; done += GROUPS_A_STEP) {
      report(done, GROUPS);
      await this.pace();
    }
  }

  private add(name: string, size: number, copies: number, image: MemoryImage, parent: string | null): Vdi {
    this.refuseTaken(name);
    const vdi: Vdi = {
      name,
      number: this.nextVdi++,
      size,
      used: image.used,
      copies,
      parent,
      created: CREATED,
      modified: CREATED,
      opens: 0,
      image,
    };
    this.vdis.set(name, vdi);
    return vdi;
  }

  private find(name: string): Vdi {
    const vdi = this.vdis.get(name);
    if (!vdi) throw new AdministrationError('NOT_FOUND', `there is no image ${name}`, "'dog vdi list' shows all");
    return vdi;
  }

  private refuseTaken(name: string): void {
    if (name.includes('/')) throw new AdministrationError('INVALID', 'a name holds no slash');
    if (!this.vdis.has(name) && !this.importing.has(name)) return;
    throw new AdministrationError('EXISTS', `there is an image ${name} already`, 'choose another name');
  }
}

function info({ image: _, ...vdi }: Vdi): VdiInfo {
  return vdi;
}

function inUse(name: string): AdministrationError {
  return new AdministrationError('IN_USE', `${name} is in use`, 'end its guest first, or give --force');
}

function disk(number: number, directory: string, used: number): DiskStatus {
  return { number, directory, size: T, used: Math.round(used), state: 'ok', problem: null };
}
