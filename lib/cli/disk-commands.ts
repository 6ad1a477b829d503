/** `dog disk ...` */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { DiskStatus } from '../control/administration.js';
import { print, printJson } from './output.js';
import { sessionOf } from './session.js';
import { formatSize } from './size.js';
import { formatTable, type TableContent } from './table.js';
import { formatPercent, printable } from './text.js';
import { finishWork } from './watch-work.js';

export function addDiskCommands(program: Command): void {
  const disk = program.command('disk').description("this host's disks");
  disk.command('list').description('list the disks').option('--json', 'in JSON').action(list);
  disk
    .command('add')
    .description('take a directory into use, and move its share of the data there')
    .argument('<DIRECTORY>')
    .option('--quiet', 'print nothing but errors')
    .option('--json', 'print how it ended, in JSON')
    .action(add);
  disk
    .command('remove')
    .description('move everything off a disk, then let it go')
    .argument('<DISK>', 'its number or its directory')
    .option('--quiet', 'print nothing but errors')
    .option('--json', 'print how it ended, in JSON')
    .action(remove);
}

/** The disks of one host, as they are given. */
export function tableOfDisks(disks: readonly DiskStatus[]): TableContent {
  const columns = [
    { title: 'DISK', align: 'right' },
    { title: 'STATE' },
    { title: 'SIZE', align: 'right' },
    { title: 'USED', align: 'right' },
    { title: 'USE', align: 'right' },
    { title: 'DIRECTORY' },
  ] as const;
  const rows = disks.map((disk) => [
    String(disk.number),
    disk.state,
    formatSize(disk.size),
    formatSize(disk.used),
    formatPercent(disk.used, disk.size),
    disk.directory,
  ]);
  return { columns, rows };
}

async function list(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const disks = await client.diskList();
  if (options.json) return printJson(disks);
  const { columns, rows } = tableOfDisks(disks);
  print(formatTable(columns, rows));
  for (const disk of disks) {
    if (disk.problem !== null) print(`\ndisk ${disk.number}: ${printable(disk.problem)}`);
  }
}

async function add(directory: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const path = resolve(directory);
  await finishWork(client, await client.diskAdd(path), options, {
    again: `dog disk add ${path}`,
    done: `${printable(path)} added`,
  });
}

async function remove(disk: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const which = /^\d+$/.test(disk) ? Number(disk) : resolve(disk);
  await finishWork(client, await client.diskRemove(which), options, {
    again: `dog disk remove ${which}`,
    done: typeof which === 'number' ? `disk ${which} removed` : `${printable(which)} removed`,
  });
}
