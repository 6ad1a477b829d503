import type { ClusterMap } from '../cluster/cluster-map.js';
import { type GroupHealth, groupHealth } from '../cluster/group-health.js';
import type { HostRecord } from '../cluster/host-record.js';
import type { HostsWatch } from '../cluster/hosts-watch.js';
import type {
  Capacity,
  DiskRecovery,
  DiskStatus,
  HostState,
  HostStatus,
  Problem,
  RecoveryStatus,
} from '../control/administration.js';
import type { HostReports } from './host-reports.js';

export interface ClusterStatusOptions {
  /** This host's id. */
  readonly host: string;
  readonly hosts: HostsWatch;
  readonly reports: HostReports;
  map(): ClusterMap;
  /** Groups that are not yet where they belong. */
  toMove(): number;
}

/** How the whole cluster is, as this host knows it: by the map, and by what the others tell. */
export class ClusterStatus {
  readonly #options: ClusterStatusOptions;

  constructor(options: ClusterStatusOptions) {
    this.#options = options;
  }

  get groups(): GroupHealth {
    return groupHealth(this.#options.map());
  }

  /** By name. */
  get hosts(): HostStatus[] {
    const statuses = this.#options.hosts.records.map((record) => this.#statusOf(record));
    return statuses.sort((a, b) => (a.name < b.name || (a.name === b.name && a.id < b.id) ? -1 : 1));
  }

  /** Of all disks that work. */
  get capacity(): Capacity {
    let [size, free] = [0, 0];
    const { hosts, reports, map } = this.#options;
    for (const { id } of hosts.records) {
      const space = map().hosts[id]?.up ? reports.of(id)?.space : undefined;
      size += space?.total ?? 0;
      free += space?.free ?? 0;
    }
    return { size, used: size - free, free };
  }

  /** How many handles of an image are open on all hosts. */
  opens(vdi: number): number {
    const { hosts, reports } = this.#options;
    return hosts.records.reduce((sum, { id }) => sum + reports.opens(id, vdi), 0);
  }

  /** Bytes that images of so many copies can use in all, and that are left for them. */
  space(copies: number): { total: number; free: number } {
    const { size, free } = this.capacity;
    const zones = new Set(this.hosts.filter(({ disks }) => disks.length > 0).map(({ zone }) => zone)).size;
    const each = Math.max(1, Math.min(copies, zones));
    return { total: Math.floor(size / each), free: Math.floor(free / each) };
  }

  get recovery(): RecoveryStatus {
    const total = Object.values(this.#options.map().tables).flat().length;
    const left = this.#options.toMove();
    const disks = this.#options.hosts.records.flatMap((record) => this.#recoveryOf(record));
    const known = disks.map(({ secondsLeft }) => secondsLeft);
    const secondsLeft = known.length === 0 || known.includes(null) ? null : Math.max(...(known as number[]));
    return { active: left > 0, done: total - left, total, unit: 'groups', secondsLeft, disks };
  }

  /** What is wrong with them, and what to do about it. */
  problems(hosts: readonly HostStatus[], groups: GroupHealth): Problem[] {
    const problems: Problem[] = [];
    for (const host of hosts) {
      if (host.state === 'down') problems.push(downProblem(host, groups));
      else for (const disk of host.disks) problems.push(...diskProblems(disk, hosts.length > 1 ? host : null));
    }
    if (groups.stopped > 0) problems.push(this.#stoppedProblem(groups, hosts));
    if (groups.degraded > 0 && hosts.length > 1) problems.push(degradedProblem(groups));
    if (hosts.length === 2) {
      problems.push({
        severity: 'warning',
        message: 'of two hosts, one decides who is up: without it the other one stops as well',
        action: "add a third host; one without disks will do ('sheep --witness')",
      });
    }
    return problems;
  }

  #statusOf({ id, name, zone, addresses }: HostRecord): HostStatus {
    const report = this.#options.reports.of(id);
    return {
      ...{ id, name, zone, addresses: [...addresses], local: id === this.#options.host },
      state: this.#stateOf(id),
      ...{ version: report?.version ?? null, mount: report?.mount ?? null },
      disks: [...(report?.disks ?? [])],
    };
  }

  #stateOf(id: string): HostState {
    const host = this.#options.map().hosts[id];
    if (!host?.up) return 'down';
    const wanted = this.#options.hosts.get(id)?.standing;
    if (wanted === 'out') return 'removing';
    return wanted === 'draining' ? 'draining' : 'up';
  }

  #recoveryOf({ id, name }: HostRecord): DiskRecovery[] {
    const progress = this.#options.reports.of(id)?.recovery ?? [];
    return progress
      .filter(({ groups }) => groups > 0)
      .map(({ disk, groups, indexesLeft, indexesDone, bytesDone, bytesPerSecond, secondsLeft }) => ({
        ...{ host: name, disk, groups, objectsLeft: indexesLeft, objectsDone: indexesDone },
        ...{ bytesDone, bytesPerSecond, secondsLeft },
      }));
  }

  #stoppedProblem({ stopped, awaited }: GroupHealth, hosts: readonly HostStatus[]): Problem {
    const names = awaited.map((id) => hosts.find((host) => host.id === id)?.name ?? id);
    return {
      severity: 'error',
      message: `${stopped} groups wait for ${names.join(' or ')}: all that was written to them is nowhere else`,
      action: 'bring it back; guests that use them wait, and go on then',
    };
  }
}

function downProblem({ name, state }: HostStatus, { stopped }: GroupHealth): Problem {
  const waits = stopped > 0 ? '' : '; guests go on without it';
  return {
    severity: 'error',
    message: `host ${name} is ${state}${waits}`,
    action: `start it; if it never returns, 'dog node remove ${name}'`,
  };
}

function degradedProblem({ degraded, single }: GroupHealth): Problem {
  const alone = single > 0 ? `, ${single} of them a single one` : '';
  return {
    severity: 'warning',
    message: `${degraded} groups have fewer copies than they should${alone}`,
    action: null,
  };
}

function diskProblems(disk: DiskStatus, host: HostStatus | null): Problem[] {
  const name = `disk ${disk.number} (${disk.directory}${host ? ` on ${host.name}` : ''})`;
  if (disk.state === 'failed') {
    const alone = 'repair it and restart sheep; what it holds cannot be read until then';
    const several = "replace it, then 'dog disk remove' it there; what it held is copied from other hosts";
    return [{ severity: 'error', message: `${name} is out of use: ${disk.problem}`, action: host ? several : alone }];
  }
  if (disk.state === 'full') {
    return [
      { severity: 'error', message: `${name} is full`, action: "delete images or add a disk with 'dog disk add'" },
    ];
  }
  return [];
}
