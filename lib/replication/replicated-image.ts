import { type DirectContext, DirectIo } from './direct-io.js';
import { ImageReader } from './image-reader.js';
import { ImageRefresh, type ImageView, isRefreshed } from './image-refresh.js';
import { ImageSurvey, type SurveyContext } from './image-survey.js';
import type { AttributesRequest, Change } from './messages.js';
import type { ImageAttributes, ImageObjects, ImageOptions, NewRole } from './object-io.js';
import { type RoleContext, WriterRole } from './role.js';
import { truncate } from './truncation.js';
import type { Writer } from './writer.js';

export interface ImageContext extends RoleContext, SurveyContext, DirectContext {
  /** The image is not used on this host any more. */
  closed(): void;
}

/** No handle: nothing that happened to the image ends it. */
const NO_HANDLE = Number.POSITIVE_INFINITY;
/** A holder that has not answered a question about the image for so long may be cut off. */
const ANSWER_MS = 1000;

/**
 * The objects of one image as this host's guests use them, over all hosts that have copies. Every method may reject with
 * what `ImageOptions.refresh` says of an image that is gone.
 *
 * The caller has no two changes in flight that overlap.
 */
export class ReplicatedImage implements ImageObjects {
  readonly vdi: number;
  readonly role: WriterRole;
  readonly #context: ImageContext;
  readonly #image: ImageOptions;
  readonly #view: ImageView;
  readonly #reader: ImageReader;
  readonly #survey: ImageSurvey;
  readonly #direct: DirectIo;

  constructor(context: ImageContext, image: ImageOptions) {
    this.vdi = image.vdi;
    this.#context = context;
    this.#image = image;
    const refresh = new ImageRefresh(() => image.refresh());
    const view: ImageView = {
      ...{ vdi: image.vdi, copies: image.copies },
      chain: () => image.chain(),
      generation: () => image.generation(),
      refresh: () => refresh.run(),
    };
    this.#view = view;
    this.role = new WriterRole(context, {
      ...view,
      reaches: (end) => image.reaches(end),
      settled: () => image.settled(),
      acquired: (writer, equalized) => image.acquired(this.#newRole(writer, equalized)),
    });
    this.#reader = new ImageReader(context, view, this.role);
    this.#survey = new ImageSurvey(context, view, this.role, this.#reader);
    this.#direct = new DirectIo(context, view, this.role, (end) => image.reaches(end));
  }

  get held(): number | null {
    return this.role.held;
  }

  async hold(opened: number): Promise<void> {
    await this.role.take('write', opened);
  }

  settle(): Promise<void> {
    return this.role.equalize();
  }

  async giveBack(): Promise<void> {
    await this.role.handBack();
  }

  async ask(holder: string, generation: number): Promise<ImageAttributes | null> {
    const { inquiries, clock } = this.#context;
    const { vdi } = this;
    const { answer, cancel } = inquiries.ask(
      holder,
      (request): AttributesRequest => ({ type: 'attributes', vdi, generation, request }),
    );
    const stop = clock.after(ANSWER_MS, cancel);
    const reply = await answer;
    stop();
    return (reply?.body as ImageAttributes | null | undefined) ?? null;
  }

  /** What this host knows of the image as the holder of its role under that generation; null: it is not. */
  attributes(generation: number): ImageAttributes | null {
    return this.role.held === generation && this.#context.mayAnswer() ? this.#image.attributes() : null;
  }

  isAlive(opened: number): Promise<boolean> {
    return this.#reader.isAlive(opened);
  }

  read(index: number, offset: number, target: Buffer, opened: number): Promise<void> {
    try {
      const ordinary = () => this.#read(index, offset, target, opened);
      return this.#direct.read(index, offset, target, opened, ordinary) ?? ordinary();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #read(index: number, offset: number, target: Buffer, opened: number): Promise<void> {
    const look = { type: 'read', offset, length: target.length } as const;
    const found = (await this.#reader.look(index, look, opened)) as Buffer;
    found.copy(target);
  }

  write(index: number, offset: number, source: Buffer, opened: number): Promise<void> {
    if (source.length === 0) return Promise.resolve();
    try {
      const ordinary = () => this.#change(index, { kind: 'write', offset, data: source }, opened);
      return this.#direct.write(index, offset, source, opened, ordinary) ?? ordinary();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async discard(index: number, offset: number, length: number, opened: number): Promise<void> {
    await this.#change(index, { kind: 'discard', offset, length }, opened);
  }

  async allocate(index: number, reach: () => number, opened: number): Promise<void> {
    const wanted = (): Change | null => {
      const end = reach();
      return end > 0 ? { kind: 'allocate', end } : null;
    };
    await this.#change(index, wanted, opened);
  }

  async flush(opened: number): Promise<void> {
    await this.role.flush(opened);
    await this.#mayTell(opened);
  }

  async seek(index: number, offset: number, data: boolean, opened: number): Promise<number | null> {
    return (await this.#reader.look(index, { type: 'seek', offset, data }, opened)) as number | null;
  }

  async next(from: number, to: number, layers: readonly number[] | null = null): Promise<number | null> {
    const [found] = await this.#survey.next({ from, to, count: 1 }, layers);
    return found ?? null;
  }

  end(bound: number): Promise<number> {
    return this.#survey.end(bound);
  }

  async truncate(size: number): Promise<void> {
    // What other hosts may have left on some copies only is found then.
    await this.role.take('write', NO_HANDLE);
    await truncate(size, {
      next: (range) => this.#survey.next(range, this.#top()),
      cut: async (index, length) => {
        await this.#change(index, { kind: 'cut', length }, NO_HANDLE);
        return true;
      },
    });
    await this.role.flush(NO_HANDLE);
  }

  recheck(): Promise<void> {
    return this.role.recheck();
  }

  close(): void {
    this.role.end();
    this.#context.closed();
  }

  /** What its owner may do with the role before anybody else. */
  #newRole(writer: Writer, equalized: () => Promise<boolean>): NewRole {
    return {
      generation: writer.generation,
      equalized,
      end: (bound) => this.#survey.endFor(writer, bound),
      truncate: async (size) => {
        if (!(await equalized())) return false;
        const isCut = await truncate(size, {
          next: (range) => this.#survey.nextFor(writer, range, this.#top()),
          cut: async (index, length) =>
            (await writer.change(this.#image.chain(), index, { kind: 'cut', length })) !== null,
        });
        return isCut && writer.flush(this.#image.chain());
      },
    };
  }

  #top(): number[] {
    return [this.#image.chain().layers[0]!.layer];
  }

  async #change(index: number, wanted: Change | (() => Change | null), opened: number): Promise<void> {
    await this.role.change(() => this.#image.chain(), index, wanted, opened);
    await this.#mayTell(opened);
  }

  /**
   * Resolves when a guest may be told that what it asked for is done. While this host had no right to answer another one
   * may have taken the image over: then the guest has lost it, although this was done before. Throws FencedError.
   */
  async #mayTell(opened: number): Promise<void> {
    const { mayAnswer, answering, pause } = this.#context;
    if (mayAnswer()) return;
    for (;;) {
      await answering();
      if ((await isRefreshed(this.#view)) && (await this.#reader.isAlive(opened)) && mayAnswer()) return;
      await pause();
    }
  }
}
