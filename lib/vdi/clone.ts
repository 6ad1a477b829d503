import { SEEK_DATA } from '../fuse/operations.js';
import { type Chain, OBJECT_BYTES, type ObjectIO } from '../replication/object-io.js';
import { type Catalog, put } from './catalog.js';
import { layerOf, nextVersion, pushLayer, setLimit, topOf } from './family.js';
import { type FamilyRecord, KEY, now, type VdiRecord } from './records.js';
import type { Vdi } from './vdi.js';

/**
 * Copying a range from one image to another at the same offset by sharing layers instead of bytes. The source's top
 * layer is frozen (the source goes on in a new one on top), and the target gets a layer of its own above it, through
 * which the source shows up to what was copied so far.
 *
 * A tool that copies a sparse file sends its extents one after another, in ascending order; each one continues the
 * clone as long as that tells the same as copying the bytes would.
 */

const INDEX_END = 2 ** 31;

interface Both {
  source: Vdi;
  target: Vdi;
  offset: number;
  end: number;
}

/** The layers of `chain` above `layer`, or null where it is not in it. */
function layersAbove(chain: Chain, layer: number): Chain | null {
  const at = chain.layers.findIndex((each) => each.layer === layer);
  return at < 0 ? null : { family: chain.family, layers: chain.layers.slice(0, at) };
}

function topOnly(chain: Chain): Chain {
  return { family: chain.family, layers: chain.layers.slice(0, 1) };
}

async function isEmpty(objects: ObjectIO, chain: Chain, from = 0, to = INDEX_END): Promise<boolean> {
  return chain.layers.length === 0 || (await objects.next(chain, from, to)) === null;
}

/** Whether the source has no data from `start` up to `end`. */
async function isHole(source: Vdi, start: number, end: number): Promise<boolean> {
  if (start >= end) return true;
  const data = await source.seek(start, SEEK_DATA);
  return data === null || data >= end;
}

/** What the target's record becomes: it reaches at least to the end of the range. */
function grown(record: VdiRecord, family: number, parent: number, end: number): VdiRecord {
  const size = Math.max(record.size, end);
  const time = now();
  return { ...record, family, parent, size, bound: size, mtime: time, ctime: time };
}

export class Cloner {
  readonly #catalog: Catalog;
  readonly #objects: ObjectIO;
  readonly #onFamily: (family: FamilyRecord) => void;
  /** One clone at a time: each holds two images, and two in opposite directions would wait for each other. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(catalog: Catalog, objects: ObjectIO, onFamily: (family: FamilyRecord) => void) {
    this.#catalog = catalog;
    this.#objects = objects;
    this.#onFamily = onFamily;
  }

  /**
   * Shares the source's bytes from `offset` to `end` (exclusive, at most its size) with the target at the same offset.
   * False where that cannot be: then the bytes have to be copied, and nothing was changed that can be seen.
   */
  async share(source: Vdi, target: Vdi, offset: number, end: number): Promise<boolean> {
    const result = this.#tail.then(() => this.#share({ source, target, offset, end }));
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #share(both: Both): Promise<boolean> {
    const { source, target } = both;
    if (source.id === target.id) return false;
    let shared = false;
    await target.restack(async () => {
      let answer: { record: VdiRecord; family: FamilyRecord } | null = null;
      await source.restack(async () => {
        if (both.end > source.size) return null;
        const plan = (await this.#continues(both)) ?? (await this.#begins(both));
        if (!plan) return null;
        answer = { record: plan.target, family: plan.family };
        return { record: plan.source, family: plan.family };
      });
      shared = answer !== null;
      return answer;
    });
    return shared;
  }

  /** A target that is a clone of this source already, up to less than the end of the range. */
  async #continues({ source, target, offset, end }: Both) {
    const [top, parent] = target.chain.layers;
    if (target.chain.family !== source.chain.family || !parent) return null;
    const above = layersAbove(source.chain, parent.layer);
    if (!above) return null;
    const [from, to] = [Math.floor(Math.min(offset, top!.limit) / OBJECT_BYTES), Math.ceil(end / OBJECT_BYTES)];
    // What was written since, to either of them, is in layers that this range must not touch.
    if (above.layers.some(({ limit }) => limit < end)) return null;
    if (!(await isEmpty(this.#objects, above, from, to))) return null;
    if (!(await isEmpty(this.#objects, topOnly(target.chain), from, to))) return null;
    if (!(await isHole(source, top!.limit, offset))) return null;
    return this.#store(
      source,
      target,
      (family) => setLimit(family, topOf(family, target.id), Math.max(top!.limit, end)),
      end,
    );
  }

  /** An empty target: it joins the source's family. */
  async #begins({ source, target, offset, end }: Both) {
    if (target.chain.layers.length !== 1 || !(await isEmpty(this.#objects, target.chain))) return null;
    if (!(await isHole(source, 0, offset))) return null;
    const untouched = source.chain.layers.length > 1 && (await isEmpty(this.#objects, topOnly(source.chain)));
    return this.#store(
      source,
      target,
      (family) => {
        const top = topOf(family, source.id);
        const { parent, limit } = layerOf(family, top);
        const merging = family.merging.some(({ layer }) => layer === parent);
        // A source that was not written since it was last cloned shares the same parent: chains stay short.
        if (untouched && parent !== null && !merging) return pushLayer(family, target.id, parent, Math.min(limit, end));
        return pushLayer(pushLayer(family, source.id, top, source.size), target.id, top, end);
      },
      end,
    );
  }

  async #store(source: Vdi, target: Vdi, change: (family: FamilyRecord) => FamilyRecord, end: number) {
    const plan = await this.#catalog.change(async () => {
      const [from, to] = await Promise.all([this.#catalog.vdi(source.id), this.#catalog.vdi(target.id)]);
      if (!from || !to) return { answer: null };
      const family = await this.#catalog.family(from.record.family);
      const old = to.record.family === from.record.family ? null : await this.#catalog.family(to.record.family);
      if (!family || (old && old.record.copies !== family.record.copies)) return { answer: null };
      const changed = nextVersion(change(family.record));
      const record = grown(to.record, changed.id, source.id, end);
      return {
        answer: { source: from.record, target: record, family: changed },
        compare: [
          { key: KEY.vdi(source.id), modRevision: from.revision },
          { key: KEY.vdi(target.id), modRevision: to.revision },
          { key: KEY.family(changed.id), modRevision: family.revision },
          ...(old ? [{ key: KEY.family(old.record.id), modRevision: old.revision }] : []),
        ],
        success: [
          put(KEY.vdi(target.id), record),
          put(KEY.family(changed.id), changed),
          // The target had nothing, so nothing is left of the family that it was born with.
          ...(old ? [{ delete: KEY.family(old.record.id) }] : []),
        ],
      };
    });
    if (plan) this.#onFamily(plan.family);
    return plan;
  }
}
