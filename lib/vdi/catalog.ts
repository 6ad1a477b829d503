import { isUnavailable } from '../cluster/patient-coordination.js';
import { familyNumber } from '../cluster/placement.js';
import type { Compare, Coordination, KeyValue, Operation, Transaction } from '../coordination/coordination.js';
import { RENAME_EXCHANGE, RENAME_NOREPLACE, type Timestamp } from '../fuse/operations.js';
import { decodeWriter, encodeWriter, NO_WRITER, type WriterRecord, writerKey } from '../replication/writer-record.js';
import { gone, VdiError } from './errors.js';
import { newFamily, nextVersion, removeImage } from './family.js';
import { Numbers } from './numbers.js';
import {
  decodeRecord,
  encodeRecord,
  type FamilyRecord,
  KEY,
  type NameRecord,
  now as systemTime,
  VDI_ID_MIN,
  type VdiRecord,
} from './records.js';

/** How often a change is tried again after another was faster. */
const ATTEMPTS_MAX = 64;
/** How many answered requests one change forgets. */
const FORGET_MAX = 32;

/**
 * Which request of the kernel asks for a change of names: it may come twice, and must not be done twice. `unique` is 0
 * where it has no number and never comes again.
 */
export interface RequestId {
  unique: bigint;
  resent: boolean;
}

export interface Stored<Record> {
  record: Record;
  /** modRevision of the value, to compare with when it is replaced. */
  revision: number;
}

export interface NewVdi {
  size: number;
  mode: number;
  uid: number;
  gid: number;
  copies: number;
  importing?: boolean;
}

function stored<Record>(keyValue: KeyValue | null | undefined): Stored<Record> | null {
  return keyValue ? { record: decodeRecord<Record>(keyValue.value), revision: keyValue.modRevision } : null;
}

/** An image as it is at one moment. */
export interface ImageView {
  readonly writer: WriterRecord;
  readonly record: VdiRecord;
  readonly family: FamilyRecord;
}

export function put(key: string, record: object): Operation {
  return { put: key, value: encodeRecord(record) };
}

/** For an image that is made: hosts take it for gone where there is no record of its writer. */
export function noWriter(id: number): Operation {
  return { put: writerKey(id), value: encodeWriter(NO_WRITER) };
}

/**
 * Names, images and families in the coordination store. Every change is one compare-and-put transaction, tried again
 * where another change came between.
 */
export class Catalog {
  readonly now: () => Timestamp;
  readonly #coordination: Coordination;
  readonly #host: string;
  /** Keys of requests that were answered, so that what is stored of them can go. */
  readonly #answered = new Set<string>();
  readonly #numbers: Numbers;
  readonly #familyNumbers: Numbers;

  /** `now` answers the time that is stored with a change. */
  constructor(coordination: Coordination, host: string, now: () => Timestamp = systemTime) {
    this.#coordination = coordination;
    this.#host = host;
    this.now = now;
    this.#numbers = new Numbers(coordination, KEY.nextVdi, VDI_ID_MIN);
    this.#familyNumbers = new Numbers(coordination, KEY.nextFamily, 1);
  }

  async vdi(id: number): Promise<Stored<VdiRecord> | null> {
    return stored<VdiRecord>(await this.#coordination.get(KEY.vdi(id)));
  }

  /**
   * An image, its family and its writer as they are at one moment. `family` is where the image is expected to be.
   * Throws VdiError ESTALE where it is gone.
   */
  async view(id: number, family: number): Promise<ImageView> {
    for (let expected = family; ; ) {
      const { responses } = await this.#coordination.transaction({
        success: [{ get: writerKey(id) }, { get: KEY.vdi(id) }, { get: KEY.family(expected) }],
      });
      const [writer, vdi, found] = responses.map((keyValues) => keyValues[0] ?? null);
      const record = stored<VdiRecord>(vdi);
      if (!record) throw gone(id);
      if (record.record.family === expected && found) {
        return {
          writer: writer ? decodeWriter(writer.value) : NO_WRITER,
          record: record.record,
          family: decodeRecord<FamilyRecord>(found.value),
        };
      }
      expected = record.record.family;
    }
  }

  async family(id: number): Promise<Stored<FamilyRecord> | null> {
    return stored<FamilyRecord>(await this.#coordination.get(KEY.family(id)));
  }

  async named(name: string): Promise<Stored<NameRecord> | null> {
    return stored<NameRecord>(await this.#coordination.get(KEY.name(name)));
  }

  /** Every image, unlinked ones too. */
  async vdis(): Promise<VdiRecord[]> {
    return (await this.#coordination.range(KEY.vdis)).map(({ value }) => decodeRecord<VdiRecord>(value));
  }

  async families(): Promise<FamilyRecord[]> {
    return (await this.#coordination.range(KEY.families)).map(({ value }) => decodeRecord<FamilyRecord>(value));
  }

  /** Makes an empty image of the given size. Throws VdiError EEXIST. */
  async create(name: string, options: NewVdi, request: RequestId | null): Promise<VdiRecord> {
    const done = await this.#doneBefore(request);
    if (done) {
      const again = await this.vdi(done.vdi);
      if (again) return again.record;
    }
    if (await this.named(name)) throw new VdiError('EEXIST', `${name} exists already`);
    const [id, number] = await Promise.all([this.#numbers.next(), this.#familyNumbers.next()]);
    const family = familyNumber(number, options.copies);
    return this.#change(async () => {
      const made = await this.vdi(id);
      if (made) return { answer: made.record };
      const time = this.now();
      const record: VdiRecord = {
        id,
        name,
        family,
        size: options.size,
        bound: options.size,
        mode: options.mode,
        uid: options.uid,
        gid: options.gid,
        atime: time,
        mtime: time,
        ctime: time,
        created: time,
        ...(options.importing ? { importing: this.#host } : {}),
      };
      if (await this.named(name)) throw new VdiError('EEXIST', `${name} exists already`);
      return {
        answer: record,
        compare: [{ key: KEY.name(name), modRevision: 0 }],
        success: [
          put(KEY.name(name), { vdi: id }),
          put(KEY.vdi(id), record),
          noWriter(id),
          put(KEY.family(family), newFamily(family, options.copies, id)),
          ...this.#remember(request, id),
        ],
      };
    });
  }

  /**
   * Changes an image's record; `change` answers the new one, or null to leave it. Answers what is stored then.
   * Throws VdiError ESTALE where the image is gone.
   */
  async update(id: number, change: (record: VdiRecord) => VdiRecord | null): Promise<VdiRecord> {
    return this.#change(() => this.#replacement(id, change, []));
  }

  /**
   * As `update`, for the host that holds the image's writer role with this generation. Answers null where that is over.
   */
  async updateHeld(
    id: number,
    generation: number,
    change: (record: VdiRecord) => VdiRecord | null,
  ): Promise<VdiRecord | null> {
    return this.#change<VdiRecord | null>(async () => {
      const key = writerKey(id);
      const writer = await this.#coordination.get(key);
      if ((writer ? decodeWriter(writer.value) : NO_WRITER).generation !== generation) return { answer: null };
      return this.#replacement(id, change, [{ key, modRevision: writer?.modRevision ?? 0 }]);
    });
  }

  async #replacement(
    id: number,
    change: (record: VdiRecord) => VdiRecord | null,
    compare: Compare[],
  ): Promise<Transaction & { answer: VdiRecord }> {
    const current = await this.vdi(id);
    if (!current) throw gone(id);
    const record = change(current.record);
    if (record === null) return { answer: current.record };
    return {
      answer: record,
      compare: [...compare, { key: KEY.vdi(id), modRevision: current.revision }],
      success: [put(KEY.vdi(id), record)],
    };
  }

  /**
   * Takes a name away and marks its image as unlinked. Answers the image's number; the caller removes it when its last
   * handle is closed. Throws VdiError ENOENT.
   */
  async unlink(name: string, request: RequestId | null): Promise<number> {
    const done = await this.#doneBefore(request);
    if (done) return done.vdi;
    let id: number | null = null;
    return this.#change(async () => {
      // An attempt whose answer was lost.
      if (id !== null && (await this.named(name))?.record.vdi !== id) return { answer: id };
      const [entry, vdi] = await this.#resolve(name);
      id = vdi.record.id;
      await this.#checkSnapshots(vdi.record);
      return {
        answer: vdi.record.id,
        compare: [
          { key: KEY.name(name), modRevision: entry.revision },
          { key: KEY.vdi(vdi.record.id), modRevision: vdi.revision },
        ],
        success: [
          { delete: KEY.name(name) },
          put(KEY.vdi(vdi.record.id), { ...vdi.record, unlinked: true, ctime: this.now() }),
          ...this.#remember(request, vdi.record.id),
        ],
      };
    });
  }

  /**
   * Renames, over an existing name too. Answers the number of the image that lost its name, or null. `flags` as in
   * rename2(2). Throws VdiError ENOENT, EEXIST.
   */
  async rename(name: string, newName: string, flags: number, request: RequestId | null): Promise<number | null> {
    const done = await this.#doneBefore(request);
    if (done) return done.vdi || null;
    let attempted: { id: number; lost: number | null } | null = null;
    return this.#change(async () => {
      // An attempt whose answer was lost.
      const isDone = attempted && (await this.named(newName))?.record.vdi === attempted.id;
      if (attempted && isDone) return { answer: attempted.lost };
      const [entry, vdi] = await this.#resolve(name);
      if (name === newName) return { answer: null };
      const target = await this.named(newName);
      const over = target ? await this.vdi(target.record.vdi) : null;
      if (over?.record.importing) throw new VdiError('EBUSY', `${newName} is being imported`);
      if (target && flags & RENAME_NOREPLACE) throw new VdiError('EEXIST', `${newName} exists already`);
      if (!target && flags & RENAME_EXCHANGE) throw new VdiError('ENOENT', `there is no ${newName}`);
      const ctime = this.now();
      const exchange = (flags & RENAME_EXCHANGE) !== 0;
      if (over && !exchange) await this.#checkSnapshots(over.record);
      const compare: Compare[] = [
        { key: KEY.name(name), modRevision: entry.revision },
        { key: KEY.vdi(vdi.record.id), modRevision: vdi.revision },
        { key: KEY.name(newName), modRevision: target?.revision ?? 0 },
      ];
      const success: Operation[] = [
        put(KEY.name(newName), { vdi: vdi.record.id }),
        put(KEY.vdi(vdi.record.id), { ...vdi.record, name: newName, ctime }),
        exchange ? put(KEY.name(name), { vdi: over!.record.id }) : { delete: KEY.name(name) },
      ];
      if (over) {
        compare.push({ key: KEY.vdi(over.record.id), modRevision: over.revision });
        const lost = exchange ? { ...over.record, name, ctime } : { ...over.record, unlinked: true, ctime };
        success.push(put(KEY.vdi(over.record.id), lost));
      }
      const answer = over && !exchange ? over.record.id : null;
      attempted = { id: vdi.record.id, lost: answer };
      success.push(...this.#remember(request, answer ?? 0));
      return { answer, compare, success };
    });
  }

  /** What it takes to remove an image that has no name; null where it is gone, or has one. */
  async removal(
    id: number,
  ): Promise<{ family: FamilyRecord; transaction: Required<Pick<Transaction, 'compare' | 'success'>> } | null> {
    const vdi = await this.vdi(id);
    if (!vdi?.record.unlinked) return null;
    const family = await this.family(vdi.record.family);
    // Another host has removed the image since it was read.
    if (!family) return null;
    const changed = nextVersion(removeImage(family.record, id));
    return {
      family: changed,
      transaction: {
        compare: [
          { key: KEY.vdi(id), modRevision: vdi.revision },
          { key: KEY.family(changed.id), modRevision: family.revision },
        ],
        success: [{ delete: KEY.vdi(id) }, put(KEY.family(changed.id), changed)],
      },
    };
  }

  /** Removes what is stored of the writer of an image that is gone; what the store did not answer to is left there. */
  async forgetWriter(id: number): Promise<void> {
    await this.#carryOut({ compare: [{ key: KEY.vdi(id), modRevision: 0 }], success: [{ delete: writerKey(id) }] });
  }

  /** Carries a transaction out once; answers whether its comparisons held. */
  async attempt(transaction: Transaction): Promise<boolean> {
    return (await this.#coordination.transaction(transaction)).succeeded;
  }

  /** Records of the snapshots of an image, with their tags, in the order of the tags. */
  async snapshots(id: number): Promise<{ tag: string; vdi: number }[]> {
    const prefix = KEY.snapshotsOf(id);
    const found = await this.#coordination.range(prefix);
    return found.map(({ key, value }) => ({ tag: key.slice(prefix.length), ...decodeRecord<NameRecord>(value) }));
  }

  /** The snapshot of an image with this tag; null where there is none. */
  async snapshot(id: number, tag: string): Promise<Stored<NameRecord> | null> {
    return stored<NameRecord>(await this.#coordination.get(KEY.snapshot(id, tag)));
  }

  /** A number for an image that is about to be made. */
  nextNumber(): Promise<number> {
    return this.#numbers.next();
  }

  /** One transaction of the caller's own over images and families; tried again while `build` goes on answering one. */
  async change<Answer>(build: () => Promise<Transaction & { answer: Answer }>): Promise<Answer> {
    return this.#change(build);
  }

  /** Tells that the request was answered, so that what is stored of it goes with a later change. */
  answered(request: RequestId): void {
    if (request.unique) this.#answered.add(KEY.done(this.#host, request.unique));
  }

  /** Forgets all requests of this host: the mount is a new one, with new numbers. */
  async forgetRequests(): Promise<void> {
    this.#answered.clear();
    await this.#coordination.transaction({ success: [{ deletePrefix: KEY.doneBy(this.#host) }] });
  }

  /** What has snapshots is not thrown away by the way. Throws VdiError EBUSY. */
  async #checkSnapshots({ id, name }: VdiRecord): Promise<void> {
    const [first] = await this.snapshots(id);
    if (first) throw new VdiError('EBUSY', `${name} has snapshots, such as ${first.tag}: delete them first`);
  }

  async #resolve(name: string): Promise<[Stored<NameRecord>, Stored<VdiRecord>]> {
    const entry = await this.named(name);
    const vdi = entry && (await this.vdi(entry.record.vdi));
    if (!entry || !vdi) throw new VdiError('ENOENT', `there is no ${name}`);
    return [entry, vdi];
  }

  async #doneBefore(request: RequestId | null): Promise<NameRecord | null> {
    if (!request?.resent) return null;
    return stored<NameRecord>(await this.#coordination.get(KEY.done(this.#host, request.unique)))?.record ?? null;
  }

  #remember(request: RequestId | null, vdi: number): Operation[] {
    if (!request?.unique) return [];
    const gone = [...this.#answered].slice(0, FORGET_MAX).map((key) => ({ delete: key }));
    return [put(KEY.done(this.#host, request.unique), { vdi }), ...gone];
  }

  async #change<Answer>(build: () => Promise<Transaction & { answer: Answer }>): Promise<Answer> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { answer, ...transaction } = await build();
      if (!transaction.success) return answer;
      const isStored = await this.#carryOut(transaction);
      if (isStored) {
        for (const operation of transaction.success) {
          if ('delete' in operation) this.#answered.delete(operation.delete);
        }
        return answer;
      }
    }
    throw new VdiError('EAGAIN', `gave up after ${ATTEMPTS_MAX} attempts to change what others keep changing`);
  }

  /** False where the comparisons did not hold, or the store did not answer: what is built anew then finds out. */
  async #carryOut(transaction: Transaction): Promise<boolean> {
    try {
      return (await this.#coordination.transaction(transaction)).succeeded;
    } catch (error) {
      if (isUnavailable(error)) return false;
      throw error;
    }
  }
}
