import { hostname } from 'node:os';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { readCommandLine } from './command-line.js';
import { ConfigurationError } from './configuration-error.js';
import { readConfigurationFile } from './configuration-file.js';
import { DEFAULT_CONTROL_PATH } from './socket.js';

export const DEFAULT_CONFIG_PATH = '/etc/sheepdog/sheep.toml';
export const COPIES_MAX = 5;
/** The two ports after it are used too. */
const PORT_MAX = 65533;

/** What a host or a zone may be called: as host names, so that it can be typed and needs no quotes. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const path = z
  .string('is not text')
  .min(1, 'is empty')
  .refine((text) => !text.includes('\0'), 'has a NUL in it')
  .refine((text) => text === '' || isAbsolute(text), 'is not an absolute path')
  .transform((text) => resolve(text));

const name = z
  .string('is not text')
  .regex(NAME, 'is not a name: letters, digits, ".", "-" and "_", at most 64, a letter or digit first');

/** `HOST:PORT`; an IPv6 address stands in brackets. */
const address = z
  .string('is not text')
  .regex(/^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, 'is not HOST:PORT')
  .refine((text) => portOf(text) >= 1 && portOf(text) <= PORT_MAX, `has no port from 1 to ${PORT_MAX}`);

const url = z
  .string('is not text')
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'is not a URL with http or https');

/** One alone needs no list. */
function listOf<Item extends z.ZodType>(item: Item, what: string) {
  return z.preprocess(
    (value) => (typeof value === 'string' ? [value] : value),
    z.array(item, `is not a list of ${what}`),
  );
}

function portOf(text: string): number {
  return Number(text.slice(text.lastIndexOf(':') + 1));
}

/** Numbers come as text from the command line. */
const copies = z.preprocess(
  (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
  z
    .int(`is not a whole number from 1 to ${COPIES_MAX}`)
    .min(1, `is not a whole number from 1 to ${COPIES_MAX}`)
    .max(COPIES_MAX, `is not a whole number from 1 to ${COPIES_MAX}`),
);

/** Options of `sheep`, complete. */
const schema = z
  .object({
    /** Directory in which the images appear; hypervisors open them there. Empty, or absent to be made. */
    mount: path,
    /** Directory of what this host has to remember; small, and to survive as long as the host does. */
    state: path,
    /** Directories for data, one for each physical disk. */
    disk: listOf(path, 'paths'),
    /** What people call this host. */
    name,
    /** Hosts that share what may fail, such as a rack, name the same zone: no two copies are put in one. */
    zone: name,
    /** Copies of new images, each on another host; fewer where there are fewer hosts. */
    copies,
    /** Where other hosts reach this one, `ADDR:PORT`: TCP and UDP there, and TCP on the two ports after it. */
    listen: address,
    /** Hosts of the cluster, `HOST:PORT`: others are found through them. */
    bootstrap: listOf(address, 'addresses'),
    /** What `dog cluster token` printed: the cluster to become a host of. Null: none. */
    join: z.string('is not text').trim().min(1, 'is empty').nullable(),
    /** Whether this host brings no disk, and only helps to decide who is up. */
    witness: z.boolean('is neither true nor false'),
    /** URLs of an etcd that is not ours; empty where sheep runs one itself. */
    etcd: listOf(url, 'URLs'),
    /** UNIX socket for `dog`. */
    control: path,
    /** How to mount: the kernel's protocol, which needs root, or libfuse, which does not and can do less. */
    fuse: z.enum(['kernel', 'native'], 'is neither "kernel" nor "native"'),
  })
  .superRefine(checkPaths);

export type Configuration = z.output<typeof schema>;

const KNOWN = Object.keys(schema.shape);

/**
 * The configuration of a daemon that is started with these arguments: they go before what is in the file, and that
 * before the defaults. Prints and ends the process where there is nothing to start: for --help and --version with exit
 * code 0; for mistakes with one line each on standard error and exit code 2, or 1 for a file that cannot be read.
 */
export function parseConfiguration(argv: readonly string[]): Configuration {
  try {
    return readConfiguration(argv) ?? process.exit(0);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(error.lines.map((line) => `sheep: ${line}\n`).join(''));
    return process.exit(error.exitCode);
  }
}

/** As parseConfiguration, but throws ConfigurationError, and answers null after --help and --version. */
export function readConfiguration(
  argv: readonly string[],
  defaultFile: string = DEFAULT_CONFIG_PATH,
): Configuration | null {
  const commandLine = readCommandLine(argv);
  if (commandLine === null) return null;
  const file = commandLine.config ?? defaultFile;
  const written = readConfigurationFile(file, KNOWN);
  if (written === null && commandLine.config !== null) {
    throw new ConfigurationError('NO_FILE', [`--config ${quoted(file)}: there is no such file`]);
  }
  const given = { ...written, ...commandLine.options };
  const parsed = schema.safeParse({ ...defaultsFor(given), ...given }, { reportInput: true });
  const place = (key: string) => {
    if (key in commandLine.options) return `--${key}`;
    return key in (written ?? {}) ? `${file}: ${key}` : `the default of --${key}`;
  };
  // What the command line overrides has to be right all the same: one day it is not overridden.
  const mistakes = Object.entries(written ?? {}).flatMap(([key, value]) => {
    const { error } = schema.shape[key as keyof Configuration].safeParse(value, { reportInput: true });
    return (error?.issues ?? []).slice(0, 1).map((issue) => lineOf(`${file}: ${key}`, issue));
  });
  for (const issue of mainIssues(parsed.error?.issues ?? [], given)) {
    mistakes.push(lineOf(place(String(issue.path[0])), issue));
  }
  if (mistakes.length > 0 || !parsed.success) throw new ConfigurationError('USAGE', [...new Set(mistakes)]);
  return parsed.data;
}

/** Leaves out what only follows from another mistake: a second one in the same value, or one in a default. */
function mainIssues(issues: readonly z.core.$ZodIssue[], given: Record<string, unknown>): z.core.$ZodIssue[] {
  const kept = new Map<string, z.core.$ZodIssue>();
  for (const issue of issues) {
    const key = String(issue.path[0]);
    const source = DEFAULT_SOURCE[key];
    if (!(key in given) && source !== undefined && kept.has(source)) continue;
    if (!kept.has(issue.path.join())) kept.set(issue.path.join(), issue);
  }
  return [...kept.values()];
}

function lineOf(place: string, issue: z.core.$ZodIssue): string {
  return `${place} ${quoted(issue.input)} ${issue.message}`;
}

/** Of which option each default is made, where it is. */
const DEFAULT_SOURCE: Readonly<Record<string, string>> = { disk: 'state', zone: 'name' };

function defaultsFor(given: Record<string, unknown>): Record<string, unknown> {
  const state = '/var/lib/sheep';
  const host = hostname();
  return {
    mount: '/var/lib/sheepdog',
    state,
    disk: given.witness === true ? [] : join(typeof given.state === 'string' ? given.state : state, 'disk'),
    name: host,
    zone: given.name ?? host,
    copies: 3,
    listen: '0.0.0.0:7000',
    bootstrap: [],
    join: null,
    witness: false,
    etcd: [],
    control: DEFAULT_CONTROL_PATH,
    fuse: 'kernel',
  };
}

interface Paths {
  mount: string;
  state: string;
  disk: string[];
  witness: boolean;
  control: string;
}

/** The mount would hide what lies in it from the daemon, which would then wait for itself. */
function checkPaths({ mount, state, disk, witness, control }: Paths, context: z.RefinementCtx): void {
  const refuse = (key: keyof Paths, input: unknown, message: string) => {
    context.addIssue({ code: 'custom', path: [key], input, message });
  };
  if (witness && disk.length > 0) refuse('disk', disk[0], 'is for a host that is no witness; leave one of the two out');
  if (!witness && disk.length === 0) refuse('disk', disk, 'is an empty list');
  if (mount === '/') refuse('mount', mount, 'would hide everything');
  else if (isWithin(state, mount)) refuse('state', state, `is in the mount, ${quoted(mount)}`);
  else if (isWithin(control, mount)) refuse('control', control, `is in the mount, ${quoted(mount)}`);
  for (const [i, directory] of disk.entries()) {
    if (mount !== '/' && isWithin(directory, mount)) refuse('disk', directory, `is in the mount, ${quoted(mount)}`);
    if (isWithin(mount, directory)) refuse('mount', mount, `is in the disk ${quoted(directory)}`);
    if (directory === state) refuse('disk', directory, 'is the state directory too; give a directory of its own');
    const other = disk.find((one, j) => j !== i && isWithin(directory, one) && (directory !== one || j < i));
    if (other === directory) refuse('disk', directory, 'is given twice');
    else if (other !== undefined) refuse('disk', directory, `is in another disk, ${quoted(other)}`);
  }
}

function isWithin(inner: string, outer: string): boolean {
  const way = relative(outer, inner);
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way);
}

/** On one line, whatever it is. */
function quoted(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
