/** `dog recovery` */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { DiskRecovery, RecoveryStatus } from '../control/administration.js';
import type { ControlClient } from '../control/client.js';
import { EXIT_INTERRUPTED, Failure } from './failure.js';
import { untilInterrupted } from './interrupt.js';
import { print, printJson } from './output.js';
import { formatProgress } from './progress.js';
import { Redraw } from './redraw.js';
import { sessionOf } from './session.js';
import { formatSize } from './size.js';
import { formatTable } from './table.js';
import { formatDuration } from './text.js';

const POLL_INTERVAL_MS = 1000;
/** Between two lines where there is no terminal. */
const LINE_INTERVAL_MS = 5000;

export function addRecoveryCommand(program: Command): void {
  program
    .command('recovery')
    .description('show how far copies are that are being made or moved')
    .option('--json', 'in JSON')
    .addOption(new Option('--watch', 'go on until it is done').conflicts('json'))
    .action(show);
}

/** For people, without a final newline. */
export function formatRecovery(recovery: RecoveryStatus): string {
  const disks = recovery.disks.filter((disk) => disk.groups > 0 || disk.objectsLeft > 0);
  const line = lineOf(recovery);
  return disks.length > 0 ? `${line}\n\n${formatDisks(disks)}` : line;
}

async function show(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf<{ watch?: boolean }>(command);
  if (options.watch) return watch(client);
  const recovery = await client.recovery();
  if (options.json) printJson(recovery);
  else print(formatRecovery(recovery));
}

async function watch(client: ControlClient): Promise<void> {
  const tell = process.stdout.isTTY ? onTerminal() : inLines();
  const interrupted = () =>
    new Failure("recovery goes on in the daemons; watch it with 'dog recovery --watch'", EXIT_INTERRUPTED);
  await untilInterrupted(interrupted, async (signal) => {
    for (let watched = false; ; watched = true) {
      const recovery = await client.recovery(signal);
      if (!recovery.active) return tell(watched ? 'recovery: done' : formatRecovery(recovery), true);
      tell(process.stdout.isTTY ? formatRecovery(recovery) : lineOf(recovery), false);
      await sleep(POLL_INTERVAL_MS, undefined, { signal });
    }
  });
}

type Tell = (text: string, last: boolean) => void;

function onTerminal(): Tell {
  const screen = new Redraw();
  return (text) => screen.draw(text);
}

function inLines(): Tell {
  let nextMs = 0;
  return (text, last) => {
    if (!last && performance.now() < nextMs) return;
    nextMs = performance.now() + LINE_INTERVAL_MS;
    print(text);
  };
}

function lineOf(recovery: RecoveryStatus): string {
  return `recovery: ${recovery.active ? formatProgress(recovery) : 'none'}`;
}

function formatDisks(disks: readonly DiskRecovery[]): string {
  const columns = [
    { title: 'HOST' },
    { title: 'DISK', align: 'right' },
    { title: 'GROUPS LEFT', align: 'right' },
    { title: 'OBJECTS LEFT', align: 'right' },
    { title: 'RATE', align: 'right' },
    { title: 'TIME LEFT' },
  ] as const;
  const rows = disks.map(({ host, disk, groups, objectsLeft, bytesPerSecond, secondsLeft }) => [
    host,
    String(disk),
    String(groups),
    String(objectsLeft),
    `${formatSize(bytesPerSecond)}/s`,
    secondsLeft === null ? '-' : formatDuration(secondsLeft),
  ]);
  return formatTable(columns, rows);
}
