/** `dog status` */
import type { Command } from 'commander';
import type { GroupsStatus, HostState, HostStatus, Problem, Status } from '../control/administration.js';
import { tableOfDisks } from './disk-commands.js';
import { illFirst, tableOfHosts, tableOfIllDisks } from './host-tables.js';
import { print, printJson } from './output.js';
import { formatProgress } from './progress.js';
import { sessionOf } from './session.js';
import { formatSize } from './size.js';
import { formatFields, formatTableWithin } from './table.js';
import { count, formatPercent, printable } from './text.js';

/** All of it fits a screen of this size. */
const SCREEN_LINES = 24;
const SCREEN_COLUMNS = 80;
const PROBLEMS_MAX = 3;
/** With its title and a last line that counts what is left out. */
const DISK_LINES_MAX = 8;
const TABLE_LINES_MIN = 3;

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('show whether all is well, and what is not')
    .option('--json', 'in JSON')
    .action(show);
}

/** The status for people, without a final newline. */
export function formatStatus(status: Status): string {
  const parts = [formatFields(fieldsOf(status))];
  if (status.problems.length > 0) parts.push(formatProblems(status.problems));
  parts.push(...formatTables(status.hosts, SCREEN_LINES - linesOf(parts.join('\n\n'))));
  return parts.join('\n\n');
}

async function show(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const status = await client.status();
  if (options.json) printJson(status);
  else print(formatStatus(status));
}

function fieldsOf(status: Status): [string, string][] {
  const { healthy, hosts, capacity, recovery, vdis } = status;
  const { size, used, free } = capacity;
  return [
    ['status', healthy ? 'healthy' : 'NOT HEALTHY'],
    fieldOfHosts(hosts),
    [
      'space',
      `${formatSize(used)} of ${formatSize(size)} used (${formatPercent(used, size)}), ${formatSize(free)} free`,
    ],
    ['images', String(vdis)],
    ['groups', formatGroups(status.groups, hosts.length)],
    ['recovery', recovery.active ? formatProgress(recovery) : 'none'],
    ['version', formatVersions(status)],
  ];
}

function fieldOfHosts(hosts: readonly HostStatus[]): [string, string] {
  const local = hosts.find((host) => host.local);
  const mounted = local?.mount ? `, mounted on ${local.mount}` : '';
  if (local && hosts.length === 1) return ['host', `${local.name}, ${local.state}${mounted}`];
  const inState = (state: HostState) => hosts.filter((host) => host.state === state).length;
  const states = (['up', 'draining', 'removing', 'down'] as const).filter((state) => inState(state) > 0);
  const counts = states.map((state) => `${states.length === 1 ? 'all' : inState(state)} ${state}`).join(', ');
  return ['hosts', `${hosts.length}, ${counts}${local ? `; this is ${local.name}${mounted}` : ''}`];
}

function formatGroups({ total, healthy, moving, degraded, single, stopped }: GroupsStatus, hosts: number): string {
  const parts = [healthy === total ? 'all healthy' : `${healthy} healthy`];
  if (degraded > 0) {
    parts.push(`${degraded} with fewer copies than they should have${single > 0 ? ` (${single} with only one)` : ''}`);
  }
  if (stopped > 0) parts.push(`${stopped} waiting for a ${hosts === 1 ? 'disk' : 'host'}`);
  if (moving > 0) parts.push(`${moving} moving`);
  return [total, ...parts].join(', ');
}

/** What this host runs, and what others run that is not the same. */
function formatVersions({ version, hosts }: Status): string {
  const others = hosts.filter((host) => host.version !== null && host.version !== version);
  const shown = [...new Set(others.map((host) => host.version))].map((other) => {
    return `${other} on ${count(others.filter((host) => host.version === other).length, 'host')}`;
  });
  return [version, ...shown].join(', ');
}

/** What fits `lines` lines, with an empty one before each table. */
function formatTables(hosts: readonly HostStatus[], lines: number): string[] {
  const allDisks = "'dog disk list' shows all";
  if (hosts.length === 1) {
    // Those that are not well come first.
    const disks = [...hosts[0]!.disks].sort((a, b) => Number(a.state === 'ok') - Number(b.state === 'ok'));
    return [formatTableWithin(DISK_LINES_MAX, tableOfDisks(disks), allDisks)];
  }
  const hostTable = tableOfHosts(illFirst(hosts));
  const diskTable = tableOfIllDisks(hosts);
  const diskLines = diskTable.rows.length > 0 ? 1 + diskTable.rows.length : 0;
  const room = lines - (diskLines > 0 ? 2 : 1);
  const hostLines = atLeast(Math.min(1 + hosts.length, room - Math.min(diskLines, TABLE_LINES_MIN)));
  const shown = [formatTableWithin(hostLines, hostTable, "'dog node list' shows all")];
  if (diskLines > 0) shown.push(formatTableWithin(atLeast(room - hostLines), diskTable, `${allDisks} of its host`));
  return shown;
}

function atLeast(lines: number): number {
  return Math.max(TABLE_LINES_MIN, lines);
}

/** As a terminal shows it, which goes on below where a line is too long. */
function linesOf(text: string): number {
  return text.split('\n').reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / SCREEN_COLUMNS)), 0);
}

function formatProblems(problems: readonly Problem[]): string {
  const worstFirst = [...problems].sort((a, b) => Number(a.severity !== 'error') - Number(b.severity !== 'error'));
  const lines = worstFirst.slice(0, PROBLEMS_MAX).flatMap(({ severity, message, action }) => {
    const what = `${severity}: ${printable(message)}`;
    return action === null ? [what] : [what, `  what to do: ${printable(action)}`];
  });
  const more = problems.length - PROBLEMS_MAX;
  return [...lines, ...(more > 0 ? [`and ${more} more; 'dog status --json' shows all`] : [])].join('\n');
}
