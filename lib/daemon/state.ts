import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { tryLock } from 'fs-native-extensions';
import { z } from 'zod';
import { HostStateFile } from './host-state.js';
import { StateError } from './state-error.js';

/** Versions of what lies under the state directory: of a host alone, which keeps all that is agreed on, and of one of several. */
export const STATE_FORMAT = { alone: 3, shared: 4 } as const;
const NEWEST_FORMAT = STATE_FORMAT.shared;

const Identity = z.object({
  format: z.literal([STATE_FORMAT.alone, STATE_FORMAT.shared]),
  /** Random, made with the cluster's first host. */
  cluster: z.uuid(),
  host: z.uuid(),
  created: z.string(),
  /** It is to be let in by a cluster, whose id it does not know before it is: `cluster` means nothing. */
  joining: z.literal(true).optional(),
});

export type Identity = z.infer<typeof Identity>;

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/**
 * This host's state directory (`--state`): who the host is, what the cluster has agreed on, what is open. One process
 * at a time holds it, by a lock that ends with the process.
 */
export class StateDirectory {
  readonly path: string;
  #identity: Identity;
  /** What the host remembers of itself. */
  readonly host: HostStateFile;
  readonly #lock: number;
  readonly #made: Made;

  private constructor(path: string, identity: Identity, lock: number, made: Made) {
    this.path = path;
    this.#identity = identity;
    this.host = HostStateFile.open(path);
    this.#lock = lock;
    this.#made = made;
  }

  /**
   * Opens the directory, making it where there is none: then of a host that is to join a cluster, or of the first one of a
   * new one. Throws StateError.
   */
  static open(path: string, isJoining = false): StateDirectory {
    let lock: number;
    let directory: string | undefined;
    try {
      directory = mkdirSync(path, { recursive: true, mode: 0o700 });
      lock = openSync(join(path, 'lock'), constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (error) {
      throw new StateError(
        'NO_ACCESS',
        `state directory ${path} cannot be used (${codeOf(error)}); make it writable, or name another with --state`,
      );
    }
    if (!tryLock(lock)) {
      closeSync(lock);
      throw new StateError(
        'IN_USE',
        `state directory ${path} is in use by another sheep; stop it, or name another with --state`,
      );
    }
    try {
      const found = readIdentity(path);
      const identity = found ?? storeIdentity(path, newIdentity(isJoining));
      return new StateDirectory(path, identity, lock, { all: found === null, directory });
    } catch (error) {
      closeSync(lock);
      if (directory !== undefined) rmSync(directory, { recursive: true });
      throw error;
    }
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** Whether what is agreed on is kept elsewhere, as there are other hosts, or may be. */
  get isShared(): boolean {
    return this.#identity.format === STATE_FORMAT.shared;
  }

  /** This host is one of that cluster's, of which there may be several; durable when it returns. Throws StateError. */
  setShared(cluster: string): void {
    const { joining: _, ...identity } = this.#identity;
    this.#identity = storeIdentity(this.path, { ...identity, cluster, format: STATE_FORMAT.shared });
  }

  /** A directory below, for one part of the state; made where there is none. */
  directory(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  close(): void {
    this.host.close();
    closeSync(this.#lock);
  }

  /** Removes all that the first start has made here: for a start that was refused after all. Else does nothing. */
  undo(): void {
    if (!this.#made.all) return;
    for (const name of NAMES) rmSync(join(this.path, name), { recursive: true, force: true });
    if (this.#made.directory !== undefined) rmSync(this.#made.directory, { recursive: true });
  }
}

interface Made {
  /** The state is new. */
  all: boolean;
  /** The first directory on the way to it that was missing. */
  directory: string | undefined;
}

/** What a state directory holds. */
const NAMES = [
  'lock',
  'state.json',
  'state.json.new',
  'host',
  'coordination',
  'handles',
  'disk',
  'tls',
  'swarm',
  'etcd',
];

function readIdentity(path: string): Identity | null {
  const file = join(path, 'state.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw new StateError('NO_ACCESS', `${file} cannot be read (${codeOf(error)}); check the disk it is on`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new StateError(
      'DAMAGED',
      `${file} is damaged: it is not JSON; restore it, or name another directory with --state`,
    );
  }
  const format = (json as { format?: unknown } | null)?.format;
  const known: readonly unknown[] = Object.values(STATE_FORMAT);
  if (!known.includes(format) && typeof format === 'number') {
    throw new StateError(
      'WRONG_FORMAT',
      `state directory ${path} has format ${format}, this sheep knows format ${NEWEST_FORMAT}; use the version that wrote it, or name another with --state`,
    );
  }
  const parsed = Identity.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new StateError(
    'DAMAGED',
    `${file} is damaged: ${issue.path.join('.')}: ${issue.message}; restore it, or name another directory with --state`,
  );
}

function newIdentity(isJoining: boolean): Identity {
  return {
    format: isJoining ? STATE_FORMAT.shared : STATE_FORMAT.alone,
    cluster: randomUUID(),
    host: randomUUID(),
    created: new Date().toISOString(),
    ...(isJoining && { joining: true as const }),
  };
}

function storeIdentity(path: string, identity: Identity): Identity {
  const temporary = join(path, 'state.json.new');
  try {
    const file = openSync(temporary, 'w', 0o600);
    writeSync(file, `${JSON.stringify(identity, null, 2)}\n`);
    fsyncSync(file);
    closeSync(file);
    renameSync(temporary, join(path, 'state.json'));
    const directory = openSync(path, 'r');
    fsyncSync(directory);
    closeSync(directory);
  } catch (error) {
    throw new StateError(
      'NO_ACCESS',
      `state directory ${path} cannot be written (${codeOf(error)}); make space or name another with --state`,
    );
  }
  return identity;
}
