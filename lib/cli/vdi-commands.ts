/** `dog vdi ...` */
import type { Command } from 'commander';
import type { VdiInfo } from '../control/administration.js';
import { Failure } from './failure.js';
import { print, printJson } from './output.js';
import { sessionOf } from './session.js';
import { formatSize, parseSize } from './size.js';
import { formatFields, formatTable } from './table.js';
import { count, formatTime, printable } from './text.js';
import { exportVdi, importVdi } from './vdi-transfer.js';

const COPIES_MAX = 5;

interface CreateOptions {
  copies?: string;
}

export function addVdiCommands(program: Command): void {
  const vdi = program.command('vdi').description('virtual disk images');
  vdi
    .command('create')
    .description('make an empty image; SIZE takes K, M, G, T')
    .argument('<NAME>')
    .argument('<SIZE>')
    .option('--copies <N>', `how many hosts keep each part of it, 1 to ${COPIES_MAX}`)
    .action(create);
  vdi.command('list').description('list the images').option('--json', 'in JSON').action(list);
  vdi
    .command('info')
    .description('show all that is known of an image')
    .argument('<NAME>')
    .option('--json', 'in JSON')
    .action(info);
  vdi
    .command('resize')
    .description('make an image larger, or smaller')
    .argument('<NAME>')
    .argument('<SIZE>')
    .option('--shrink', 'allow that it gets smaller and loses the data beyond')
    .action(resize);
  vdi
    .command('delete')
    .description('delete an image')
    .argument('<NAME>')
    .option('--force', 'also when it is in use')
    .action(remove);
  vdi
    .command('clone')
    .description('copy an image at once; both share what neither changes')
    .argument('<NAME>')
    .argument('<NEW>')
    .action(clone);
  vdi
    .command('export')
    .description('write an image to standard output: dog vdi export NAME > FILE')
    .argument('<NAME>')
    .option('--quiet', 'show no progress')
    .action(exportTo);
  vdi
    .command('import')
    .description('make an image of standard input: dog vdi import NAME < FILE')
    .argument('<NAME>')
    .option('--quiet', 'print nothing but errors')
    .action(importFrom);
}

async function create(name: string, size: string, _: CreateOptions, command: Command): Promise<void> {
  const { client, options } = sessionOf<CreateOptions>(command);
  const made = await client.vdiCreate(name, sizeOf(size), { copies: copiesOf(options.copies) });
  print(`${printable(name)} created, ${formatSize(made.size)}`);
}

async function list(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const vdis = await client.vdiList();
  if (options.json) return printJson(vdis);
  if (vdis.length === 0) return print("there is no image yet; make one with 'dog vdi create NAME SIZE'");
  const columns = [
    { title: 'NAME' },
    { title: 'SIZE', align: 'right' },
    { title: 'USED', align: 'right' },
    { title: 'COPIES', align: 'right' },
    { title: 'CREATED' },
    { title: 'IN USE' },
    { title: 'CLONE OF' },
  ] as const;
  const rows = vdis.map((vdi) => [
    vdi.name,
    formatSize(vdi.size),
    formatSize(vdi.used),
    String(vdi.copies),
    formatTime(vdi.created),
    vdi.opens > 0 ? 'yes' : '-',
    vdi.parent ?? '-',
  ]);
  print(formatTable(columns, rows));
}

async function info(name: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const vdi = await client.vdiInfo(name);
  if (options.json) return printJson(vdi);
  print(formatInfo(vdi));
}

async function resize(name: string, size: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf<{ shrink?: boolean }>(command);
  const resized = await client.vdiResize(name, sizeOf(size), { shrink: options.shrink ?? false });
  print(`${printable(name)} resized, ${formatSize(resized.size)}`);
}

async function remove(name: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf<{ force?: boolean }>(command);
  await client.vdiDelete(name, { force: options.force ?? false });
  print(`${printable(name)} deleted`);
}

async function clone(name: string, newName: string, _: object, command: Command): Promise<void> {
  const { client } = sessionOf(command);
  const made = await client.vdiClone(name, newName);
  print(`${printable(newName)} cloned from ${printable(name)}, ${formatSize(made.size)}`);
}

async function exportTo(name: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  await exportVdi(client, name, { quiet: options.quiet ?? false });
}

async function importFrom(name: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const made = await importVdi(client, name, { quiet: options.quiet ?? false });
  if (!options.quiet)
    print(`${printable(name)} imported, ${formatSize(made.size)}, ${formatSize(made.used)} of it data`);
}

function formatInfo(vdi: VdiInfo): string {
  return formatFields([
    ['image', vdi.name],
    ['size', `${formatSize(vdi.size)} (${count(vdi.size, 'byte')})`],
    ['used', `${formatSize(vdi.used)} (${count(vdi.used, 'byte')})`],
    ['copies', String(vdi.copies)],
    ['clone of', vdi.parent ?? '-'],
    ['in use', vdi.opens > 0 ? `yes, opened ${count(vdi.opens, 'time')}` : 'no'],
    ['number', String(vdi.number)],
    ['created', formatTime(vdi.created)],
    ['modified', formatTime(vdi.modified)],
  ]);
}

function sizeOf(text: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    throw Failure.usage((error as Error).message);
  }
}

function copiesOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const copies = Number(text);
  if (/^\d+$/.test(text) && copies >= 1 && copies <= COPIES_MAX) return copies;
  throw Failure.usage(`--copies takes a number from 1 to ${COPIES_MAX}, not ${text}`);
}
