import {
  type Administration,
  AdministrationError,
  type ClusterInfo,
  type DiskRecovery,
  type DiskStatus,
  type Extent,
  type ForcedRemoval,
  type GroupsStatus,
  type HostStatus,
  type Problem,
  type RecoveryStatus,
  type Status,
  type Token,
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

/** A daemon's answers without a daemon: keeps images, hosts and disks in memory, and the rules that dog relies on. */
export class MemoryAdministration implements Administration {
  readonly vdis = new Map<string, Vdi>();
  readonly disks: DiskStatus[] = [disk(1, '/srv/a', 0.6 * T), disk(2, '/srv/b', 0.3 * T)];
  /** This host, whose disks are the ones above, and the others of its cluster. */
  readonly local: HostStatus = { ...host('h1', 'alpha', []), local: true, disks: this.disks };
  readonly others: HostStatus[] = [];
  /** What is being copied, and to which disks. */
  readonly recovering: DiskRecovery[] = [];
  /** What only hosts have that are down. */
  sole: ForcedRemoval = { groups: 0, images: [] };
  /** What makes a token; null as long as this host is not ready for others. */
  makeToken: (wish: { ttlSeconds?: number; uses?: number }) => Promise<Token | null> = async ({ ttlSeconds, uses }) => {
    const expires = new Date(Date.parse(CREATED) + (ttlSeconds ?? 86_400) * 1000).toISOString();
    return { token: 'sheep-c0ffee', expires, uses: uses ?? null };
  };
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

  private get hosts(): HostStatus[] {
    return [this.local, ...this.others].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async status(): Promise<Status> {
    const { hosts } = this;
    const all = hosts.filter(({ state }) => state !== 'down').flatMap(({ disks }) => disks);
    const working = all.filter(({ state }) => state !== 'failed');
    const size = working.reduce((sum, disk) => sum + disk.size, 0);
    const used = working.reduce((sum, disk) => sum + disk.used, 0);
    const healthy = working.length === all.length && hosts.every(({ state }) => state !== 'down');
    const { disks: _, ...recovery } = await this.recovery();
    return {
      healthy,
      version: '0.1.0',
      hosts: structuredClone(hosts),
      capacity: { size, used, free: size - used },
      groups: groupsOf(healthy, hosts.length),
      recovery,
      vdis: this.vdis.size,
      problems: this.problems,
    };
  }

  async recovery(): Promise<RecoveryStatus> {
    const active = this.recovering.length > 0;
    const [done, total] = active ? [100, 624] : [0, 0];
    return { active, done, total, unit: 'groups', secondsLeft: active ? 95 : null, disks: [...this.recovering] };
  }

  token(wish: { ttlSeconds?: number; uses?: number }): Promise<Token | null> {
    return this.makeToken(wish);
  }

  async nodeList(): Promise<HostStatus[]> {
    return structuredClone(this.hosts);
  }

  async nodeDrain(which: string): Promise<WorkStatus> {
    const drained = this.findHost(which);
    this.refuseOnly(drained);
    drained.state = 'draining';
    const title = `draining host ${drained.name}`;
    return this.works.start(`drain ${drained.id}`, title, 'groups', (report) => this.move(report));
  }

  async nodeUndrain(which: string): Promise<void> {
    this.findHost(which).state = 'up';
  }

  async nodeRemove(which: string): Promise<WorkStatus> {
    const removed = this.findHost(which);
    this.refuseOnly(removed);
    if (removed.state === 'down' && this.sole.groups > 0) {
      const message = `host ${removed.name} is down, and ${this.sole.groups} groups have their only complete copy there`;
      const hint = 'start it, or give it up with what only it has: --force';
      throw new AdministrationError('WOULD_LOSE_DATA', message, hint);
    }
    removed.state = 'removing';
    const title = `removing host ${removed.name}`;
    return this.works.start(`remove ${removed.id}`, title, 'groups', async (report) => {
      await this.move(report);
      this.forget(removed);
    });
  }

  async nodeForceRemove(which: string): Promise<ForcedRemoval> {
    const removed = this.findHost(which);
    if (removed.state !== 'down') {
      throw new AdministrationError('INVALID', `host ${removed.name} is up`, 'remove it without --force');
    }
    this.forget(removed);
    return this.sole;
  }

  async clusterInfo(): Promise<ClusterInfo> {
    const counts = { groups: GROUPS, hosts: this.hosts.length, disks: this.disks.length, vdis: this.vdis.size };
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

  private findHost(which: string): HostStatus {
    const found = this.hosts.find(({ id, name }) => id === which || name === which);
    if (!found) throw new AdministrationError('NOT_FOUND', `there is no host ${which}`, "'dog node list' shows them");
    return found;
  }

  private forget(removed: HostStatus): void {
    const index = this.others.indexOf(removed);
    if (index >= 0) this.others.splice(index, 1);
  }

  private refuseOnly({ name }: HostStatus): void {
    if (this.others.length > 0) return;
    throw new AdministrationError('INVALID', `no other host could take what ${name} has`, 'add another host first');
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

/** `used`: bytes, of each of its disks. */
export function host(id: string, name: string, used: readonly number[]): HostStatus {
  const number = Number(id.slice(1));
  return {
    ...{ id, name, zone: name, state: 'up', local: false },
    ...{ addresses: [`192.0.2.${number}:7000`], version: '0.1.0', mount: '/var/lib/sheepdog' },
    disks: used.map((bytes, index) => disk(number * 10 + index, `/srv/${'abcdef'[index]}`, bytes)),
  };
}

/** As they are where something is missing: on one host without what it had, among several with fewer copies. */
function groupsOf(healthy: boolean, hosts: number): GroupsStatus {
  const none = { moving: 0, degraded: 0, single: 0, stopped: 0 };
  if (healthy) return { ...none, total: GROUPS, healthy: GROUPS };
  if (hosts === 1) return { ...none, total: GROUPS, healthy: 400, moving: 24, stopped: 624 };
  return { total: GROUPS, healthy: 612, moving: 24, degraded: 409, single: 12, stopped: 3 };
}

function disk(number: number, directory: string, used: number): DiskStatus {
  return { number, directory, size: T, used: Math.round(used), state: 'ok', problem: null };
}
