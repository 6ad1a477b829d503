import type { ImageReader, ReaderContext } from './image-reader.js';
import type { ImageView } from './image-refresh.js';
import type { EndRequest, NextRequest, Refusal, Reply } from './messages.js';
import { OBJECT_BYTES } from './object-io.js';
import type { WriterRole } from './role.js';
import type { Writer } from './writer.js';

export interface SurveyContext extends ReaderContext {
  readonly groupCount: number;
  /** Resolves when this host may answer its guests. */
  answering(): Promise<void>;
}

/** A range of indexes. */
export interface IndexRange {
  /** Inclusive. */
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** So many that have something are looked for, at most. */
  readonly count: number;
}

/** What is looked for over the groups of an image. */
type GroupsLook = Pick<NextRequest, 'type' | 'from' | 'to' | 'layers' | 'count'> | Pick<EndRequest, 'type' | 'bound'>;

/** Groups that are asked of one disk. */
interface Part {
  readonly disk: number;
  readonly host: string;
  readonly pgs: number[];
  since: number;
}

/** Looks for what an image has over all of its groups: one in-sync disk is asked for each, and each disk once. */
export class ImageSurvey {
  readonly #context: SurveyContext;
  readonly #image: ImageView;
  readonly #role: WriterRole;
  readonly #reader: ImageReader;

  constructor(context: SurveyContext, image: ImageView, role: WriterRole, reader: ImageReader) {
    this.#context = context;
    this.#image = image;
    this.#role = role;
    this.#reader = reader;
  }

  /** The lowest indexes of a range where one of the layers (null: any of the chain) has an entry. */
  async next(range: IndexRange, layers: readonly number[] | null): Promise<number[]> {
    for (;;) {
      const found = await this.#next(range, layers, null);
      if (found) return found;
    }
  }

  /** As `next`, for a holder of the role whom nobody uses yet; null: the role was lost. */
  nextFor(writer: Writer, range: IndexRange, layers: readonly number[]): Promise<number[] | null> {
    return this.#lookFor(writer, () => this.#next(range, layers, writer));
  }

  /** The highest byte that the top layer has below `bound`, 0 for none. */
  async end(bound: number): Promise<number> {
    for (;;) {
      const found = await this.#end(bound, null);
      if (found !== null) return found;
    }
  }

  /** As `end`, for a holder of the role whom nobody uses yet; null: the role was lost. */
  endFor(writer: Writer, bound: number): Promise<number | null> {
    return this.#lookFor(writer, () => this.#end(bound, writer));
  }

  async #lookFor<Found>(writer: Writer, look: () => Promise<Found | null>): Promise<Found | null> {
    for (;;) {
      const found = await look();
      if (found !== null || writer.stopped) return found;
      // Where the image has another generation, somebody else has the role: what is left to do here is theirs.
      this.#role.outdated(this.#image.generation());
    }
  }

  async #end(bound: number, writer: Writer | null): Promise<number | null> {
    const pgs = this.#groupsOf({ from: 0, to: Math.ceil(bound / OBJECT_BYTES) });
    const answers = await this.#look(pgs, { type: 'end', bound }, writer);
    return answers && Math.max(0, ...(answers as number[]));
  }

  async #next(range: IndexRange, layers: readonly number[] | null, writer: Writer | null): Promise<number[] | null> {
    const asked = layers ?? this.#image.chain().layers.map(({ layer }) => layer);
    const answers = await this.#look(this.#groupsOf(range), { type: 'next', ...range, layers: asked }, writer);
    if (!answers) return null;
    const indexes = (answers as number[][]).flat();
    return indexes.sort((a, b) => a - b).slice(0, range.count);
  }

  /**
   * What disks answer, each for some of the groups. Null where the image has another generation meanwhile, and perhaps
   * another chain, where the writer was stopped, or where this host may not answer for what was found.
   */
  async #look(pgs: ReadonlySet<number>, look: GroupsLook, writer: Writer | null): Promise<unknown[] | null> {
    const generation = this.#image.generation();
    const answers: unknown[] = [];
    const left = new Set(pgs);
    for (let attempt = 0; left.size > 0; attempt++) {
      await this.#role.beforeAll();
      if (writer?.stopped || this.#image.generation() !== generation) return null;
      const parts = this.#parts(left, attempt);
      const replies = await Promise.all(parts.map((part) => this.#ask(part, look)));
      const refusals: (Refusal | null)[] = [];
      for (const [at, reply] of replies.entries()) {
        if (!reply || reply.refusal) refusals.push(reply?.refusal ?? null);
        else {
          answers.push(reply.body);
          for (const pg of parts[at]!.pgs) left.delete(pg);
        }
      }
      const isLost = refusals.length === 0 && left.size > 0;
      for (const refusal of isLost ? [null] : refusals) await this.#learn(refusal, writer);
    }
    if (this.#context.mayAnswer()) return answers;
    await this.#context.answering();
    return null;
  }

  /** Who is about to use the role has made equal what there is: a member that does not know waits to hear of that. */
  #learn(refusal: Refusal | null, writer: Writer | null): Promise<void> {
    return writer && refusal?.reason === 'unequal' ? this.#context.pause() : this.#reader.learn(refusal);
  }

  #ask({ disk, host, pgs, since }: Part, look: GroupsLook): Promise<Reply | null> {
    const { vdi, copies } = this.#image;
    const chain = this.#image.chain();
    const generation = this.#image.generation();
    const common = { disk, copies, pgs, since, vdi, generation, chain };
    // It may look through much: only a host that is gone is not waited for.
    return this.#context.inquiries.ask(host, (request) => ({ ...common, ...look, request })).answer;
  }

  /** Whom to ask, as far as there is somebody. */
  #parts(pgs: Iterable<number>, attempt: number): Part[] {
    const byDisk = new Map<number, Part>();
    for (const pg of pgs) {
      const source = this.#reader.source(this.#image.copies, pg, attempt);
      if (!source) continue;
      const { disk, host, since } = source;
      const part = byDisk.get(disk);
      if (part) {
        part.pgs.push(pg);
        part.since = Math.max(part.since, since);
      } else byDisk.set(disk, { disk, host, pgs: [pg], since });
    }
    return [...byDisk.values()];
  }

  #groupsOf({ from, to }: { from: number; to: number }): Set<number> {
    const { groupCount, pgOf } = this.#context;
    const { family } = this.#image.chain();
    const pgs = new Set<number>();
    for (let index = from; index < Math.min(to, from + groupCount); index++) pgs.add(pgOf(family, index));
    return pgs;
  }
}
