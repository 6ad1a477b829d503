/** Tables of the cluster's hosts, and of disks that are on several of them. */
import type { DiskStatus, HostState, HostStatus } from '../control/administration.js';
import { formatSize } from './size.js';
import type { TableContent } from './table.js';
import { formatPercent } from './text.js';

/** What needs an admin's eye first. */
const STATE_ORDER: readonly HostState[] = ['down', 'removing', 'draining', 'up'];

/** As they are given. */
export function tableOfHosts(hosts: readonly HostStatus[]): TableContent {
  const columns = [
    { title: 'NAME' },
    { title: 'STATE' },
    { title: 'ZONE' },
    { title: 'DISKS', align: 'right' },
    { title: 'USED', align: 'right' },
    { title: 'SIZE', align: 'right' },
    { title: 'ADDRESS' },
  ] as const;
  return { columns, rows: hosts.map(hostRow) };
}

/** Those that are not well first, then by name. */
export function illFirst(hosts: readonly HostStatus[]): HostStatus[] {
  const rank = (host: HostStatus) => 2 * STATE_ORDER.indexOf(host.state) + Number(host.disks.every(isWell));
  return [...hosts].sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name));
}

/** The disks that are not well, and those of hosts that are not. */
export function tableOfIllDisks(hosts: readonly HostStatus[]): TableContent {
  const columns = [
    { title: 'HOST' },
    { title: 'DISK', align: 'right' },
    { title: 'STATE' },
    { title: 'SIZE', align: 'right' },
    { title: 'USED', align: 'right' },
    { title: 'USE', align: 'right' },
    { title: 'DIRECTORY' },
  ] as const;
  const disks = illFirst(hosts).flatMap((host) => host.disks.map((disk) => ({ host, disk })));
  const ill = disks.filter(({ disk }) => !isWell(disk));
  const others = disks.filter(({ host, disk }) => isWell(disk) && host.state !== 'up');
  return { columns, rows: [...ill, ...others].map(({ host, disk }) => diskRow(host, disk)) };
}

function hostRow({ name, state, zone, disks, addresses }: HostStatus): string[] {
  const working = disks.filter((disk) => disk.state !== 'failed');
  const sum = (value: (disk: DiskStatus) => number) => working.reduce((total, disk) => total + value(disk), 0);
  const number = working.length < disks.length ? `${working.length}/${disks.length}` : String(disks.length);
  const used = formatSize(sum((disk) => disk.used));
  const size = formatSize(sum((disk) => disk.size));
  return [name, state, zone, number, used, size, addresses.join(',') || '-'];
}

function diskRow(host: HostStatus, { number, state, size, used, directory }: DiskStatus): string[] {
  // A disk is no better than its host, whatever that told of it last.
  const shown = state === 'ok' && host.state === 'down' ? 'down' : state;
  const use = formatPercent(used, size);
  return [host.name, String(number), shown, formatSize(size), formatSize(used), use, directory];
}

function isWell({ state }: DiskStatus): boolean {
  return state === 'ok';
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
