/** `dog node ...` */
import type { Command } from 'commander';
import type { ForcedRemoval } from '../control/administration.js';
import type { ControlClient } from '../control/client.js';
import { tableOfHosts } from './host-tables.js';
import { print, printJson } from './output.js';
import { type CommonOptions, sessionOf } from './session.js';
import { formatTable } from './table.js';
import { count, printable } from './text.js';
import { finishWork } from './watch-work.js';

export function addNodeCommands(program: Command): void {
  const node = program.command('node').description('the hosts of the cluster');
  node.command('list').description('list the hosts').option('--json', 'in JSON').action(list);
  node
    .command('drain')
    .description('move everything off a host, and give it nothing more until it is undrained')
    .argument('<NAME>', 'its name or its id')
    .option('--quiet', 'print nothing but errors')
    .option('--json', 'print how it ended, in JSON')
    .action(drain);
  node
    .command('undrain')
    .description('let a host take data again')
    .argument('<NAME>', 'its name or its id')
    .action(undrain);
  node
    .command('remove')
    .description('move everything off a host, or make it anew elsewhere, then let it go for good')
    .argument('<NAME>', 'its name or its id')
    .option('--force', 'give a host up at once that is down, with all that only it has')
    .option('--quiet', 'print nothing but errors')
    .option('--json', 'print how it ended, in JSON')
    .action(remove);
}

async function list(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const hosts = await client.nodeList();
  if (options.json) return printJson(hosts);
  const { columns, rows } = tableOfHosts(hosts);
  const versions = hosts.map((host) => host.version ?? '-');
  print(
    formatTable(
      [...columns, { title: 'VERSION' }],
      rows.map((row, index) => [...row, versions[index]!]),
    ),
  );
}

async function drain(name: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  await finishWork(client, await client.nodeDrain(name), options, {
    again: `dog node drain ${name}`,
    done: `${printable(name)} drained; 'dog node undrain ${printable(name)}' lets it take data again`,
  });
}

async function undrain(name: string, _: object, command: Command): Promise<void> {
  const { client } = sessionOf(command);
  await client.nodeUndrain(name);
  print(`${printable(name)} takes data again`);
}

async function remove(name: string, _: object, command: Command): Promise<void> {
  const { client, options } = sessionOf<{ force?: boolean }>(command);
  if (options.force) return giveUp(client, name, options);
  await finishWork(client, await client.nodeRemove(name), options, {
    again: `dog node remove ${name}`,
    done: `${printable(name)} removed`,
  });
}

async function giveUp(client: ControlClient, name: string, options: CommonOptions): Promise<void> {
  const removal = await client.nodeForceRemove(name);
  if (options.json) printJson(removal);
  else if (!options.quiet) print(formatForcedRemoval(name, removal));
}

/** What may be lost, the most first. */
function formatForcedRemoval(name: string, { groups, images }: ForcedRemoval): string {
  const removed = `${printable(name)} removed for good`;
  if (groups === 0) return `${removed}; nothing was complete on it alone, so nothing is lost`;
  const alone = `${removed}; ${count(groups, 'group')} had no other complete copy`;
  if (images.length === 0) return `${alone}, and no image has data there`;
  const worstFirst = [...images].sort((a, b) => b.objects - a.objects);
  const columns = [{ title: 'IMAGE' }, { title: 'OBJECTS LOST AT MOST', align: 'right' }] as const;
  const rows = worstFirst.map((image) => [image.name, String(image.objects)]);
  return `${alone}, and these images may have lost data:\n\n${formatTable(columns, rows)}`;
}
