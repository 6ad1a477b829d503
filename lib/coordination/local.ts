import { type FileHandle, mkdir, open as openFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { open as openDatabase, type RootDatabase } from 'lmdb';
import { type SpareContent, spareChanges } from '../database/spare-pages.js';
import {
  type Coordination,
  CoordinationError,
  type KeyValue,
  type Operation,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchEvent,
} from './coordination.js';
import { checkFormat, FORMAT } from './format.js';
import { decodeRecord, encodeRecord } from './local-record.js';
import { checkKey, checkPrefix, checkTransaction, holds } from './rules.js';

/** The engine's own records. Keys of the store begin with '/', so these sort before them and cannot be reached. */
const FORMAT_KEY = Buffer.from('\0format');
const REVISION_KEY = Buffer.from('\0revision');
const FIRST_KEY = Buffer.from('/');
const SPARE: SpareContent<Buffer, Buffer> = {
  key: (number) => Buffer.from(`\0spare ${number}`),
  value: (bytes) => Buffer.alloc(bytes),
};
/** Changes after which it is seen whether enough is spare. */
const SPARE_INTERVAL = 256;
/** As in etcd, an empty store has revision 1 and the first change makes revision 2. */
const REVISION_EMPTY = 1;
/**
 * What hosts say of themselves every few seconds, and means nothing when the process has ended: kept in memory, so that
 * no disk has to sync it.
 */
const VOLATILE_PREFIXES = ['/alive/', '/conductor'];
/** How an LMDB data file begins: two pages of its header, each with this number after the page's own 16 bytes. */
const LMDB_MAGIC = 0xbeefc0de;
const LMDB_MAGIC_OFFSET = 24;
const LMDB_BYTES_MIN = 8192;

type Database = RootDatabase<Buffer, Buffer>;
type Listener = (events: WatchEvent[], revision: number) => void;

interface Change {
  revision: number;
  events: WatchEvent[];
}

/**
 * Opens the store of a cluster of one host in `directory`, which is made if absent. One process at a time: another
 * one's changes would be seen by reads and comparisons but not by watches.
 *
 * Throws CoordinationError WRONG_FORMAT for a store of a newer release and for a directory that holds something else.
 */
export async function openLocal(directory: string): Promise<Coordination> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await checkFile(join(directory, 'data.mdb'));
  const database = openEnvironment(directory);
  try {
    if (formatOf(database, directory) === 'new') await initialize(database, directory);
    await keepSpare(database, directory);
  } catch (error) {
    await database.close();
    throw error;
  }
  return new LocalCoordination(database, directory);
}

function openEnvironment(directory: string): Database {
  return openDatabase<Buffer, Buffer>({
    path: directory,
    noSubdir: false,
    keyEncoding: 'binary',
    encoding: 'binary',
    // A commit is then on disk before anyone can see it: with overlapping syncs, a read could answer what a power
    // cut takes back.
    overlappingSync: false,
    // With it, the database makes promises of its own that nobody can await: a commit that fails for want of space
    // would end the process.
    eventTurnBatching: false,
  });
}

/** The database maps the file as it is, and what is no database at all makes it crash instead of fail. */
async function checkFile(path: string): Promise<void> {
  let file: FileHandle;
  try {
    file = await openFile(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const { size } = await file.stat();
    // Empty is what is left when its making was broken off.
    if (size === 0) return;
    const magic = Buffer.alloc(4);
    await file.read(magic, 0, magic.length, LMDB_MAGIC_OFFSET);
    if (size < LMDB_BYTES_MIN || magic.readUInt32LE() !== LMDB_MAGIC) {
      throw new CoordinationError('WRONG_FORMAT', `${path} is not a coordination store`);
    }
  } finally {
    await file.close();
  }
}

function formatOf(database: Database, directory: string): 'new' | 'known' {
  const format = database.get(FORMAT_KEY);
  if (format === undefined) {
    if (database.getKeysCount({ limit: 1 }) === 0) return 'new';
    throw new CoordinationError('WRONG_FORMAT', `${directory} holds a database that is not a coordination store`);
  }
  checkFormat(format.toString(), `the coordination store in ${directory}`);
  return 'known';
}

async function initialize(database: Database, directory: string): Promise<void> {
  await database.childTransaction(() => {
    database.putSync(FORMAT_KEY, Buffer.from(String(FORMAT)));
    database.putSync(REVISION_KEY, encodeRevision(REVISION_EMPTY));
  });
  // The files themselves are synced by the commit, their names are not.
  await syncDirectory(directory);
  await syncDirectory(dirname(resolve(directory)));
}

/** Sees to it that the store can be changed on a full disk; nothing where there is no space for that. */
async function keepSpare(database: Database, directory: string): Promise<void> {
  for (const change of spareChanges(directory, database, [], SPARE)) await database.childTransaction(change);
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await openFile(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

class LocalCoordination implements Coordination {
  readonly #database: Database;
  readonly #directory: string;
  readonly #watches = new Set<{ prefix: string; listener: Listener }>();
  readonly #volatile = new Map<string, KeyValue>();
  /** Revision of the newest change of those. */
  #volatileRevision = 0;
  /** Changes made whose commit is not known yet, in order of revision. */
  #uncommitted: Change[] = [];
  readonly #running = new Set<Promise<TransactionResult>>();
  #closing: Promise<void> | null = null;

  constructor(database: Database, directory: string) {
    this.#database = database;
    this.#directory = directory;
  }

  async get(key: string): Promise<KeyValue | null> {
    checkKey(key);
    this.#refresh();
    return this.#get(key);
  }

  async range(prefix: string): Promise<KeyValue[]> {
    checkPrefix(prefix);
    this.#refresh();
    return this.#range(prefix);
  }

  async revision(): Promise<number> {
    this.#refresh();
    return this.#revision();
  }

  async transaction(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    this.#checkOpen();
    if (isVolatile(transaction)) return this.#runVolatile(transaction);
    const running = this.#run(transaction);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** What changes nothing that is stored needs no commit. */
  #runVolatile(transaction: Transaction): TransactionResult {
    this.#refresh();
    const { result, change } = this.#apply(transaction);
    if (change) for (const watch of [...this.#watches]) this.#tell(watch, change);
    return result;
  }

  async #run(transaction: Transaction): Promise<TransactionResult> {
    let change: Change | null = null;
    let result: TransactionResult;
    try {
      // A child transaction is undone whole should one of its operations fail.
      result = await this.#database.childTransaction(() => {
        const applied = this.#apply(transaction);
        if (applied.change !== null) {
          change = applied.change;
          this.#uncommitted.push(applied.change);
        }
        return applied.result;
      });
    } catch (error) {
      this.#uncommitted = this.#uncommitted.filter((other) => other !== change);
      throw await explain(error);
    }
    if (change !== null) {
      this.#announce(result.revision);
      if (result.revision % SPARE_INTERVAL === 0) await this.#keepSpare();
    }
    return result;
  }

  async #keepSpare(): Promise<void> {
    try {
      await keepSpare(this.#database, this.#directory);
    } catch (error) {
      // Without them the store is as good as ever. The reason is waited for, or it would end the process.
      await explain(error);
    }
  }

  watch(prefix: string, listener: Listener): Watch {
    checkPrefix(prefix);
    this.#checkOpen();
    const watch = { prefix, listener };
    this.#watches.add(watch);
    return { close: () => void this.#watches.delete(watch) };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // The database would break off what it has begun. How each of them ends is told to its own caller.
    await Promise.allSettled(this.#running);
    this.#watches.clear();
    await this.#database.close();
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new CoordinationError('CLOSED', 'the coordination store is closed');
  }

  /** Makes what follows read the last commit: the database keeps a snapshot for a turn of the event loop. */
  #refresh(): void {
    this.#checkOpen();
    this.#database.resetReadTxn();
  }

  #get(key: string): KeyValue | null {
    if (isVolatileKey(key)) return this.#volatile.get(key) ?? null;
    const record = this.#database.get(Buffer.from(key));
    return record === undefined ? null : decodeRecord(key, record);
  }

  #range(prefix: string): KeyValue[] {
    const start = prefix === '' ? FIRST_KEY : Buffer.from(prefix);
    const found: KeyValue[] = [];
    for (const { key, value } of this.#database.getRange({ start, end: endOfPrefix(start, prefix) })) {
      found.push(decodeRecord(key.toString(), value));
    }
    const volatile = [...this.#volatile.values()].filter(({ key }) => key.startsWith(prefix));
    return volatile.length === 0 ? found : [...found, ...volatile].sort(byKey);
  }

  #revision(): number {
    return Math.max(this.#volatileRevision, Number(this.#database.get(REVISION_KEY)!.readBigUInt64BE()));
  }

  /** Runs within a write transaction of the database, unless it changes nothing there. */
  #apply(transaction: Transaction): { result: TransactionResult; change: Change | null } {
    const succeeded = (transaction.compare ?? []).every((compare) => holds(compare, this.#get(compare.key)));
    const operations = (succeeded ? transaction.success : transaction.failure) ?? [];
    const isStored = !isVolatile(transaction);
    // What is not committed yet has its revision already.
    const pending = isStored ? 0 : (this.#uncommitted.at(-1)?.revision ?? 0);
    const before = Math.max(this.#revision(), pending);
    const events: WatchEvent[] = [];
    const responses = operations.map((operation) => this.#operate(operation, before + 1, events));
    if (events.length === 0) return { result: { succeeded, revision: before, responses }, change: null };
    const revision = before + 1;
    if (isStored) this.#database.putSync(REVISION_KEY, encodeRevision(revision));
    else this.#volatileRevision = revision;
    return { result: { succeeded, revision, responses }, change: { revision, events } };
  }

  #operate(operation: Operation, revision: number, events: WatchEvent[]): KeyValue[] {
    if ('get' in operation) {
      const found = this.#get(operation.get);
      return found === null ? [] : [found];
    }
    if ('range' in operation) return this.#range(operation.range);
    if ('put' in operation) events.push(this.#put(operation.put, operation.value, revision));
    else if ('delete' in operation) {
      const found = this.#get(operation.delete);
      if (found !== null) events.push(this.#remove(found.key, revision));
    } else {
      for (const { key } of this.#range(operation.deletePrefix)) events.push(this.#remove(key, revision));
    }
    return [];
  }

  #put(key: string, value: Uint8Array, revision: number): WatchEvent {
    const old = this.#get(key);
    const keyValue: KeyValue = {
      key,
      value: Uint8Array.from(value),
      createRevision: old?.createRevision ?? revision,
      modRevision: revision,
      version: (old?.version ?? 0) + 1,
    };
    if (isVolatileKey(key)) this.#volatile.set(key, keyValue);
    else this.#database.putSync(Buffer.from(key), encodeRecord(keyValue));
    return { type: 'put', keyValue };
  }

  #remove(key: string, revision: number): WatchEvent {
    if (isVolatileKey(key)) this.#volatile.delete(key);
    else this.#database.removeSync(Buffer.from(key));
    return {
      type: 'delete',
      keyValue: { key, value: new Uint8Array(0), createRevision: 0, modRevision: revision, version: 0 },
    };
  }

  /** Tells watches of everything up to `revision`: commits are in order, so what came before it is committed too. */
  #announce(revision: number): void {
    while (this.#uncommitted.length > 0 && this.#uncommitted[0]!.revision <= revision) {
      const change = this.#uncommitted.shift()!;
      for (const watch of [...this.#watches]) this.#tell(watch, change);
    }
  }

  #tell(watch: { prefix: string; listener: Listener }, { revision, events }: Change): void {
    if (!this.#watches.has(watch)) return;
    const seen = events.filter((event) => event.keyValue.key.startsWith(watch.prefix));
    if (seen.length === 0) return;
    try {
      watch.listener(seen, revision);
    } catch (error) {
      // A listener that throws is a defect of its owner's: it must neither fail the transaction, which is done, nor
      // keep the event from others, nor go unnoticed.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** The database rejects with a promise of the reason, which has to be awaited. */
async function explain(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<never> };
  if (commitError === undefined) return error;
  try {
    return await commitError;
  } catch (reason) {
    return new Error(`the coordination store could not be written: ${(reason as Error).message}`, { cause: reason });
  }
}

/** Whether the key is kept in memory only. */
export function isVolatileKey(key: string): boolean {
  return VOLATILE_PREFIXES.some((prefix) => key.startsWith(prefix));
}

/** Whether a transaction changes nothing that is stored. */
function isVolatile({ success = [], failure = [] }: Transaction): boolean {
  return [...success, ...failure].every((operation) => {
    if ('get' in operation || 'range' in operation) return true;
    if ('put' in operation) return isVolatileKey(operation.put);
    return 'delete' in operation && isVolatileKey(operation.delete);
  });
}

function byKey(a: KeyValue, b: KeyValue): number {
  return Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}

function encodeRevision(revision: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(revision));
  return bytes;
}

/** The first key after all that start with the prefix. UTF-8 has no byte 0xff, so that the last byte can grow. */
function endOfPrefix(start: Buffer, prefix: string): Buffer {
  if (prefix === '') return Buffer.from([0xff]);
  const end = Buffer.from(start);
  end[end.length - 1]! += 1;
  return end;
}
