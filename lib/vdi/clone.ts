import { SEEK_DATA, type Timestamp } from '../fuse/operations.js';
import {
  type Chain,
  type ChainLayer,
  type GenerationStep,
  OBJECT_BYTES,
  type Objects,
  type Stepped,
} from '../replication/object-io.js';
import { type Catalog, put } from './catalog.js';
import { layerOf, nextVersion, pushLayer, setLimit, topOf } from './family.js';
import { type FamilyRecord, KEY, type VdiRecord } from './records.js';
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

/** Handles that are not the kernel's never die. */
const NO_HANDLE = Number.POSITIVE_INFINITY;

type FamilyChange = (family: FamilyRecord) => FamilyRecord;

interface Both {
  source: Vdi;
  target: Vdi;
  offset: number;
  end: number;
}

/** The layers of `chain` above `layer`, or null where it is not in it. */
function layersAbove(chain: Chain, layer: number): readonly ChainLayer[] | null {
  const at = chain.layers.findIndex((each) => each.layer === layer);
  return at < 0 ? null : chain.layers.slice(0, at);
}

/** Whether these layers of the image have nothing from index `from` to `to`. */
async function isEmpty(vdi: Vdi, layers: readonly number[], from = 0, to = INDEX_END): Promise<boolean> {
  return layers.length === 0 || (await vdi.objects.next(from, to, layers)) === null;
}

function topOnly({ layers }: Chain): number[] {
  return [layers[0]!.layer];
}

/** Whether the source has no data from `start` up to `end`. */
async function isHole(source: Vdi, start: number, end: number): Promise<boolean> {
  if (start >= end) return true;
  const data = await source.seek(start, SEEK_DATA);
  return data === null || data >= end;
}

/**
 * While a step holds the image back: also where this host has lost the role meanwhile, as nothing is stored then if anybody
 * else has had it.
 */
function sizeOf(vdi: Vdi): number {
  return vdi.attributes().size;
}

/** What the target's record becomes: it reaches at least to the end of the range. */
function grown(record: VdiRecord, family: number, parent: number, end: number, time: Timestamp): VdiRecord {
  const size = Math.max(record.size, end);
  return { ...record, family, parent, size, bound: size, mtime: time, ctime: time };
}

/** What both images become, and their family. */
interface Plan {
  readonly stored: boolean;
  readonly result: FamilyRecord | null;
}

/** What was last tried to be stored: whether it was is not known where the store did not answer. */
interface Attempt {
  family: FamilyRecord | null;
}

const NO_PLAN: Plan = { stored: false, result: null };

export class Cloner {
  readonly #catalog: Catalog;
  readonly #objects: Objects;
  readonly #onFamily: (family: FamilyRecord) => void;
  /** One clone at a time: each holds two images, and two in opposite directions would wait for each other. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(catalog: Catalog, objects: Objects, onFamily: (family: FamilyRecord) => void) {
    this.#catalog = catalog;
    this.#objects = objects;
    this.#onFamily = onFamily;
  }

  /**
   * Shares the source's bytes from `offset` to `end` (exclusive, at most its size) with the target at the same offset.
   * False where that cannot be: then the bytes have to be copied, and nothing was changed that can be seen. `opened` is of
   * the target.
   */
  async share(source: Vdi, target: Vdi, offset: number, end: number, opened = NO_HANDLE): Promise<boolean> {
    const result = this.#tail.then(() => this.#share({ source, target, offset, end }, opened));
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #share(both: Both, opened: number): Promise<boolean> {
    const { source, target } = both;
    if (source.id === target.id) return false;
    return target.frozen(() =>
      source.frozen(async () => {
        const attempt: Attempt = { family: null };
        const family = await this.#objects.step([source.objects, target.objects], opened, (steps) =>
          this.#step(both, steps, attempt),
        );
        if (!family) return false;
        source.stepped();
        target.stepped();
        this.#onFamily(family);
        return true;
      }),
    );
  }

  async #step(both: Both, steps: readonly GenerationStep[], attempt: Attempt): Promise<Stepped<FamilyRecord | null>> {
    const done = await this.#doneBefore(both, attempt);
    if (done) return { stored: false, result: done };
    if (both.end > sizeOf(both.source)) return NO_PLAN;
    const change = (await this.#continues(both)) ?? (await this.#begins(both));
    return change ? this.#store(both, steps, change, attempt) : NO_PLAN;
  }

  /** The family as it is where an attempt whose answer was lost has been carried out. */
  async #doneBefore({ target }: Both, { family }: Attempt): Promise<FamilyRecord | null> {
    const stored = family && (await this.#catalog.family(family.id))?.record;
    if (!family || !stored) return null;
    const layer = family.images[target.id]!;
    const isDone = stored.images[target.id] === layer && stored.layers[layer]!.limit === family.layers[layer]!.limit;
    return isDone ? stored : null;
  }

  /** A target that is a clone of this source already, up to less than the end of the range. */
  async #continues({ source, target, offset, end }: Both): Promise<FamilyChange | null> {
    const [top, parent] = target.chain().layers;
    if (target.chain().family !== source.chain().family || !parent) return null;
    const above = layersAbove(source.chain(), parent.layer);
    if (!above) return null;
    const [from, to] = [Math.floor(Math.min(offset, top!.limit) / OBJECT_BYTES), Math.ceil(end / OBJECT_BYTES)];
    // What was written since, to either of them, is in layers that this range must not touch.
    if (above.some(({ limit }) => limit < end)) return null;
    const layers = above.map(({ layer }) => layer);
    if (!(await isEmpty(source, layers, from, to))) return null;
    if (!(await isEmpty(target, topOnly(target.chain()), from, to))) return null;
    if (!(await isHole(source, top!.limit, offset))) return null;
    return (family) => setLimit(family, topOf(family, target.id), Math.max(top!.limit, end));
  }

  /** An empty target: it joins the source's family. */
  async #begins({ source, target, offset, end }: Both): Promise<FamilyChange | null> {
    const own = topOnly(target.chain());
    if (target.chain().layers.length !== 1 || !(await isEmpty(target, own))) return null;
    if (!(await isHole(source, 0, offset))) return null;
    const untouched = source.chain().layers.length > 1 && (await isEmpty(source, topOnly(source.chain())));
    return (family) => {
      const top = topOf(family, source.id);
      const { parent, limit } = layerOf(family, top);
      const merging = family.merging.some(({ layer }) => layer === parent);
      // A source that was not written since it was last cloned shares the same parent: chains stay short.
      if (untouched && parent !== null && !merging) return pushLayer(family, target.id, parent, Math.min(limit, end));
      // What has a name already is never written, and needs no new layer.
      if (source.isSnapshot) return pushLayer(family, target.id, top, end);
      return pushLayer(pushLayer(family, source.id, top, sizeOf(source)), target.id, top, end);
    };
  }

  async #store(
    { source, target, end }: Both,
    steps: readonly GenerationStep[],
    change: FamilyChange,
    attempt: Attempt,
  ): Promise<Stepped<FamilyRecord | null>> {
    const [from, to] = await Promise.all([this.#catalog.vdi(source.id), this.#catalog.vdi(target.id)]);
    if (!from || !to) return NO_PLAN;
    const family = await this.#catalog.family(from.record.family);
    const old = to.record.family === from.record.family ? null : await this.#catalog.family(to.record.family);
    if (!family || (old && old.record.copies !== family.record.copies)) return NO_PLAN;
    const changed = nextVersion(change(family.record));
    attempt.family = changed;
    const record = grown(target.settledRecord(to.record), changed.id, source.id, end, this.#catalog.now());
    const isStored = await this.#catalog.attempt({
      compare: [
        ...steps.map(({ compare }) => compare),
        { key: KEY.vdi(source.id), modRevision: from.revision },
        { key: KEY.vdi(target.id), modRevision: to.revision },
        { key: KEY.family(changed.id), modRevision: family.revision },
        ...(old ? [{ key: KEY.family(old.record.id), modRevision: old.revision }] : []),
      ],
      success: [
        ...steps.map(({ put }) => put),
        put(KEY.vdi(source.id), source.settledRecord(from.record)),
        put(KEY.vdi(target.id), record),
        put(KEY.family(changed.id), changed),
        // The target had nothing, so nothing is left of the family that it was born with.
        ...(old ? [{ delete: KEY.family(old.record.id) }] : []),
      ],
    });
    return isStored ? { stored: true, result: changed } : 'again';
  }
}
