import type { Clock } from '../cluster/clock.js';
import { type ClusterMap, isSource } from '../cluster/cluster-map.js';
import { type ImageView, isRefreshed } from './image-refresh.js';
import type { Inquiries } from './inquiries.js';
import type { ReadRequest, Refusal, SeekRequest } from './messages.js';
import type { WriterRole } from './role.js';

/** No handle: nothing that happened to the image ends it. */
const NO_HANDLE = Number.POSITIVE_INFINITY;
/** A member that has not answered a look at one index for so long may be cut off: another one is asked. */
const ANSWER_MS = 1000;

export interface ReaderContext {
  readonly host: string;
  readonly clock: Clock;
  readonly inquiries: Inquiries;
  map(): ClusterMap;
  fetchMap(epoch: number): void;
  pgOf(family: number, index: number): number;
  /** Whether this host may answer its guests now. */
  mayAnswer(): boolean;
  /** Resolves after a while, or when the map or the right to answer has changed. */
  pause(): Promise<void>;
}

/** What is looked for in an object. */
export type ObjectLook =
  | Pick<ReadRequest, 'type' | 'offset' | 'length'>
  | Pick<SeekRequest, 'type' | 'offset' | 'data'>;

/** Asks members that are in sync for what an image has, until one answers. Needs no writer role. */
export class ImageReader {
  readonly #context: ReaderContext;
  readonly #image: ImageView;
  readonly #role: WriterRole;

  constructor(context: ReaderContext, image: ImageView, role: WriterRole) {
    this.#context = context;
    this.#image = image;
    this.#role = role;
  }

  /** Throws FencedError where the handle is dead: `opened` is the generation that the image had when it was opened. */
  async look(index: number, look: ObjectLook, opened: number): Promise<unknown> {
    let wasUnequal = false;
    for (let attempt = 0; ; attempt++) {
      await this.#role.before(index);
      const reply = await this.#ask(index, look, attempt);
      if (!(await this.isAlive(opened))) continue;
      if (reply && !reply.refusal && this.#context.mayAnswer()) return reply.body;
      const isUnequal = reply?.refusal?.reason === 'unequal';
      await this.learn(reply?.refusal ?? null);
      // It was made equal for nothing: the member has still to hear of that.
      if (isUnequal && wasUnequal) await this.#context.pause();
      wasUnequal ||= isUnequal;
    }
  }

  /** See ImageObjects. */
  async isAlive(opened: number): Promise<boolean> {
    this.#role.checkThere();
    if (opened === NO_HANDLE) return true;
    const isKnown = await this.#role.learnHandles(this.#image.generation());
    this.#role.checkHandle(opened);
    if (!isKnown) await this.#context.pause();
    return isKnown;
  }

  /** Finds out what a member refused for; null: it did not answer. Rejects where the image is gone. */
  async learn(refusal: Refusal | null): Promise<void> {
    if (refusal?.reason === 'unequal') return this.#role.equalize();
    if (refusal?.reason !== 'generation') {
      if (refusal?.reason === 'map') this.#context.fetchMap(refusal.epoch);
      return this.#context.pause();
    }
    this.#role.outdated(refusal.generation);
    if (this.#image.generation() >= refusal.generation) return;
    await isRefreshed(this.#image);
    if (this.#image.generation() < refusal.generation) await this.#context.pause();
  }

  /** A disk to ask about a group: the own one first, then another one with each attempt that nobody has answered. */
  source(copies: number, pg: number, attempt: number): { disk: number; host: string; since: number } | null {
    const map = this.#context.map();
    const group = map.tables[copies]?.[pg];
    if (!group) return null;
    const up: { disk: number; host: string }[] = [];
    for (const disk of group.insync) {
      const host = map.disks[disk]?.host;
      if (host === undefined || !map.hosts[host]?.up || !isSource(group, disk)) continue;
      if (attempt === 0 && host === this.#context.host) return { disk, host, since: group.since };
      up.push({ disk, host });
    }
    const found = up[(pg + attempt) % Math.max(1, up.length)];
    return found ? { ...found, since: group.since } : null;
  }

  async #ask(index: number, look: ObjectLook, attempt: number) {
    const { vdi, copies } = this.#image;
    const chain = this.#image.chain();
    const generation = this.#image.generation();
    const pg = this.#context.pgOf(chain.family, index);
    const source = this.source(copies, pg, attempt);
    if (!source) return null;
    const { disk, host, since } = source;
    const common = { disk, copies, pg, since, vdi, generation, chain, index };
    const { answer, cancel } = this.#context.inquiries.ask(host, (request) => ({ ...common, ...look, request }));
    const stop = this.#context.clock.after(ANSWER_MS, cancel);
    const reply = await answer;
    stop();
    return reply;
  }
}
