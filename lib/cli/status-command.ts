/** `dog status` */
import type { Command } from 'commander';
import type { Problem, Status } from '../control/administration.js';
import { formatDisks } from './disk-commands.js';
import { print, printJson } from './output.js';
import { formatProgress } from './progress.js';
import { sessionOf } from './session.js';
import { formatSize } from './size.js';
import { formatFields } from './table.js';
import { formatPercent, printable } from './text.js';

/** So that it fits a screen of 24 lines. */
const DISKS_MAX = 6;
const PROBLEMS_MAX = 3;

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
  for (const host of status.hosts) {
    // Those that are not well come first.
    const disks = [...host.disks].sort((a, b) => Number(a.state === 'ok') - Number(b.state === 'ok'));
    const shown = formatDisks(disks.slice(0, DISKS_MAX));
    const more = disks.length - DISKS_MAX;
    parts.push(more > 0 ? `${shown}\nand ${more} more; 'dog disk list' shows all` : shown);
  }
  return parts.join('\n\n');
}

async function show(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const status = await client.status();
  if (options.json) printJson(status);
  else print(formatStatus(status));
}

function fieldsOf({ healthy, version, hosts, capacity, groups, recovery, vdis }: Status): [string, string][] {
  const { size, used, free } = capacity;
  const parts = [`${groups.total}`];
  if (groups.healthy === groups.total) parts.push('all healthy');
  else parts.push(`${groups.healthy} healthy, ${groups.total - groups.healthy} not`);
  if (groups.moving > 0) parts.push(`${groups.moving} moving`);
  return [
    ['status', healthy ? 'healthy' : 'NOT HEALTHY'],
    ...hosts.map((host): [string, string] => ['host', `${host.name}, ${host.state}, mounted on ${host.mount}`]),
    [
      'space',
      `${formatSize(used)} of ${formatSize(size)} used (${formatPercent(used, size)}), ${formatSize(free)} free`,
    ],
    ['images', String(vdis)],
    ['groups', parts.join(', ')],
    ['recovery', recovery.active ? formatProgress(recovery) : 'none'],
    ['version', version],
  ];
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
