import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { ConfigurationError } from './configuration-error.js';

/** What was given on the command line, as text; paths are absolute. */
export interface CommandLine {
  /** The file that was named, or null. */
  config: string | null;
  options: Record<string, unknown>;
}

/** Options that are paths: on the command line, relative ones are below the working directory. */
const PATHS: readonly string[] = ['mount', 'state', 'disk', 'control', 'config'];

/**
 * Reads the arguments of `sheep`, without the program's name. Answers null after it has printed what --help or
 * --version ask for. Throws ConfigurationError USAGE.
 */
export function readCommandLine(argv: readonly string[]): CommandLine | null {
  const command = build();
  try {
    command.parse(argv as string[], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return null;
    // A second line may say what was meant.
    const text = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
    throw new ConfigurationError('USAGE', [`${text}; see sheep --help`]);
  }
  const { config = null, ...options } = absolute(command.opts());
  return { config: config as string | null, options };
}

function build(): Command {
  return new Command('sheep')
    .description('Serves the disk images of a cluster in a directory.')
    .option('--mount <DIR>', 'where the images appear (default: /var/lib/sheepdog)')
    .option('--state <DIR>', 'what this host has to remember (default: /var/lib/sheep)')
    .option('--disk <DIR>', 'where to keep data; repeat it for several disks (default: STATE/disk)', collect)
    .option('--name <NAME>', 'what to call this host (default: its host name)')
    .option('--zone <ZONE>', 'hosts that may fail together have the same (default: the name)')
    .option('--copies <N>', 'copies of new images, on as many hosts, 1 to 5 (default: 3)')
    .option(
      '--listen <ADDR:PORT>',
      'where other hosts reach this one, and on the two ports after it (default: 0.0.0.0:7000)',
    )
    .option('--bootstrap <HOST:PORT>', 'hosts of the cluster, to find the others by; repeat it for several', collect)
    .option('--join <TOKEN>', 'become a host of the cluster that "dog cluster token" printed this for')
    .option('--witness', 'only help to decide who is up: this host brings no disk')
    .option(
      '--etcd <URL>',
      'an etcd that is there already; repeat it for several (default: sheep runs its own)',
      collect,
    )
    .option('--control <PATH>', 'the socket for dog (default: /run/sheepdog/sheep.sock)')
    .option('--fuse <KIND>', 'kernel, or native to mount without being root (default: kernel)')
    .option('--config <FILE>', 'options in TOML (default: /etc/sheepdog/sheep.toml, if it is there)')
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {} });
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function absolute(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).map(([key, value]) => {
      if (!PATHS.includes(key)) return [key, value];
      return [key, Array.isArray(value) ? value.map(absolutePath) : absolutePath(value as string)];
    }),
  );
}

/** Nothing stays nothing, to be refused, and does not become the working directory. */
function absolutePath(path: string): string {
  return path === '' ? '' : resolve(path);
}

function version(): string {
  const description = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(description) as { version: string }).version;
}
