/** `dog cluster ...` */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { ControlClient } from '../control/client.js';
import { ClientError } from '../control/client-error.js';
import { Failure } from './failure.js';
import { print, printJson } from './output.js';
import { sessionOf } from './session.js';
import { formatSize } from './size.js';
import { formatFields } from './table.js';
import { formatTime } from './text.js';
import { addTokenCommand } from './token-command.js';

const END_DEADLINE_MS = 120_000;
const END_POLL_MS = 50;

export function addClusterCommands(program: Command): void {
  const cluster = program.command('cluster').description('the cluster as a whole');
  cluster.command('info').description('show what it is made of').option('--json', 'in JSON').action(info);
  cluster
    .command('shutdown')
    .description('end all hosts in order: everything written, everything unmounted')
    .option('--force', 'also when images are in use')
    .action(shutdown);
  addTokenCommand(cluster);
}

async function info(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf(command);
  const cluster = await client.clusterInfo();
  if (options.json) return printJson(cluster);
  print(
    formatFields([
      ['cluster', cluster.id],
      ['created', formatTime(cluster.created)],
      ['hosts', String(cluster.hosts)],
      ['disks', String(cluster.disks)],
      ['images', String(cluster.vdis)],
      ['copies', `${cluster.copies} of a new image, where there are as many hosts`],
      ['groups', `${cluster.groups}`],
      ['objects', `${formatSize(cluster.objectSize)} each`],
    ]),
  );
}

async function shutdown(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf<{ force?: boolean }>(command);
  try {
    await client.shutdown({ force: options.force ?? false });
  } catch (error) {
    // It was so quick to end that its answer got lost; whether it did is seen next.
    if (!(error instanceof ClientError) || error.code !== 'CONNECTION_LOST') throw error;
  }
  await untilGone(client);
  print('the daemon ended');
}

async function untilGone(client: ControlClient): Promise<void> {
  const end = performance.now() + END_DEADLINE_MS;
  while (await client.isAnswering()) {
    if (performance.now() > end) {
      throw new Failure(`the daemon has not ended after ${END_DEADLINE_MS / 1000} s; its log says what it waits for`);
    }
    await sleep(END_POLL_MS);
  }
}
