import { readObject } from '../store/object-read.js';
import { findWritable, writeThen } from '../store/object-write.js';
import type { DirectChange } from './direct-change.js';
import type { ImageView } from './image-refresh.js';
import type { Member } from './member.js';
import { type ImageOptions, OBJECT_BYTES } from './object-io.js';
import type { OwnCopies, OwnCopy } from './own-copies.js';
import type { WriterRole } from './role.js';

export interface DirectContext {
  readonly member: Member;
  readonly own: OwnCopies;
  pgOf(family: number, index: number): number;
  mayAnswer(): boolean;
  /** A disk of this host did not do what it was asked. */
  diskError(disk: number, error: unknown): void;
}

/** What has to be done in the ordinary way after all. */
export type Ordinary = () => Promise<void>;

/**
 * A guest's reads and writes where no message is needed: reads of a complete copy on a disk of this host, writes to
 * objects that are active where that disk is the group's only member. The same is asked before and after as of a message
 * that comes to this host's member; whatever it does not allow at once goes the ordinary way.
 */
export class DirectIo {
  readonly #context: DirectContext;
  readonly #image: ImageView;
  readonly #role: WriterRole;
  readonly #reaches: ImageOptions['reaches'];

  constructor(context: DirectContext, image: ImageView, role: WriterRole, reaches: ImageOptions['reaches']) {
    this.#context = context;
    this.#image = image;
    this.#role = role;
    this.#reaches = reaches;
  }

  /** Null where it has to be read in the ordinary way. Throws FencedError. */
  read(index: number, offset: number, target: Buffer, opened: number, ordinary: Ordinary): Promise<void> | null {
    const { own, member, pgOf, mayAnswer } = this.#context;
    if (!this.#role.isEqual || !mayAnswer()) return null;
    this.#role.checkHandle(opened);
    const generation = this.#image.generation();
    if (Number.isFinite(opened) && !this.#role.knowsHandles(generation)) return null;
    const chain = this.#image.chain();
    const { family, layers } = chain;
    const pg = pgOf(family, index);
    const copy = own.find(this.#image.copies, pg);
    if (!copy || !member.mayRead(this.#image.vdi, generation)) return null;
    const { disk } = copy.replica;
    return readObject(disk, pg, family, index, layers, offset, target).then(
      () => {
        this.#role.checkHandle(opened);
        // A copy of another `since` may lack what the group has now.
        const isRight = own.find(this.#image.copies, pg)?.since === copy.since && mayAnswer();
        return isRight && member.mayRead(this.#image.vdi, generation) ? undefined : ordinary();
      },
      (error) => {
        this.#context.diskError(disk.number, error);
        return ordinary();
      },
    );
  }

  /** Null where it has to be written in the ordinary way. Throws FencedError. */
  write(index: number, offset: number, source: Buffer, opened: number, ordinary: Ordinary): Promise<void> | null {
    const writer = this.#role.ready(opened);
    const { own, member, pgOf, mayAnswer } = this.#context;
    if (!writer || !mayAnswer()) return null;
    const chain = this.#image.chain();
    const { family, layers } = chain;
    const { layer } = layers[0]!;
    const { vdi, copies } = this.#image;
    const pg = pgOf(family, index);
    const copy = own.find(copies, pg);
    if (!copy?.isOnly || !member.mayWrite(vdi, writer.generation, copy.replica.disk.number, family, index)) return null;
    const { replica, since } = copy;
    const { disk, locks } = replica;
    const object = writer.directObject(layer, index, pg, since);
    if (!object) return null;
    const lock = locks.tryShared(family, index);
    if (!lock) return null;
    const file = findWritable(disk, family, index, layer, offset, source.length);
    // Not before it is known to be carried out: what is refused makes no image longer.
    const admission = file && this.#reaches(index * OBJECT_BYTES + offset + source.length);
    if (!file || admission) {
      lock.release();
      return admission?.then(ordinary) ?? null;
    }
    const target = { vdi, copies, pg, disk: disk.number, since, chain, index, object };
    const change = writer.beginDirect(target, offset, source);
    member.began(change);
    return new Promise((resolve, reject) => {
      change.resolve = (answers) => {
        if (answers) resolve();
        else ordinary().then(resolve, reject);
      };
      writeThen(disk, file, offset, source, change, (error) => {
        lock.release();
        member.ended(change);
        // Not done: its group goes on without the disk, and it is sent to whoever is in it then.
        if (error !== null) this.#context.diskError(disk.number, error);
        else if (this.#isRight(change, copy)) writer.endDirect(change);
        else writer.sendDirect(change);
      });
    });
  }

  /** Whether what was carried out may be answered. */
  #isRight({ vdi, copies, pg, generation }: DirectChange, { since }: OwnCopy): boolean {
    const { own, member, mayAnswer } = this.#context;
    const copy = own.find(copies, pg);
    return copy?.isOnly === true && copy.since === since && mayAnswer() && member.isKnown(vdi, generation);
  }
}
