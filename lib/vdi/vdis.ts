import type { AllDisks } from '../cluster/all-disks.js';
import type { Clock } from '../cluster/clock.js';
import type { Image } from '../cluster/images-at-risk.js';
import type { Coordination } from '../coordination/coordination.js';
import type { Timestamp } from '../fuse/operations.js';
import { type GenerationStep, OBJECT_BYTES, type Objects, type Stepped } from '../replication/object-io.js';
import type { Stored } from './catalog.js';
import { Catalog, type NewVdi, type RequestId } from './catalog.js';
import { Cloner } from './clone.js';
import { gone, VdiError } from './errors.js';
import { chainOf } from './family.js';
import type { FamilyWatch } from './family-watch.js';
import { IdleRoles } from './idle-roles.js';
import { Janitor } from './janitor.js';
import { layerOwners } from './layer-owners.js';
import { Listing } from './listing.js';
import type { OpenImages } from './open-images.js';
import { compareTimes, type FamilyRecord, type NameRecord, type VdiRecord } from './records.js';
import { Snapshots } from './snapshots.js';
import { Turns } from './turns.js';
import { Vdi } from './vdi.js';

export interface VdisOptions {
  coordination: Coordination;
  /** This host's id. */
  host: string;
  clock: Clock;
  objects: Objects;
  /** Open: the host's members go by it as well. */
  families: FamilyWatch;
  /** Reads what disks the cluster has, whether or not they are up. */
  allDisks: () => Promise<AllDisks>;
  /** Whether any handle of the image is open. */
  isOpen: (id: number) => boolean;
  /** What other hosts have open; null where there are none. */
  opens?: OpenImages | null;
  /** Called when work in the background fails; it is tried again. */
  onError: (error: unknown, family: number) => void;
  /** The time that is stored; the system's unless it is given. */
  now?: () => Timestamp;
}

/** An image may become shorter while it is cloned. */
const CLONE_ATTEMPTS_MAX = 16;

/**
 * All images as this host sees them: finds them, opens each once, makes, renames, clones and removes them.
 */
export class Vdis {
  readonly catalog: Catalog;
  readonly #options: VdisOptions;
  readonly #cloner: Cloner;
  readonly #snapshots: Snapshots;
  readonly #janitor: Janitor;
  readonly #loaded = new Map<number, Vdi>();
  readonly #pins = new Map<number, number>();
  readonly #loading = new Map<number, Promise<Vdi>>();
  readonly #listing: Listing;
  /** Names of images that this process has begun to import. */
  readonly #importing = new Set<string>();
  readonly #refreshes = new Set<Promise<void>>();
  readonly #idle: IdleRoles;
  /** By image, the end of what is being done to it alone: loading it, removing it. */
  readonly #turns = new Turns();

  constructor(options: VdisOptions) {
    const { coordination, host, clock, objects, families, allDisks, onError } = options;
    this.#options = options;
    this.#idle = new IdleRoles(clock, (id) => this.#giveBack(id));
    this.catalog = new Catalog(coordination, host, options.now);
    this.#listing = new Listing(coordination);
    this.#cloner = new Cloner(this.catalog, objects, this.#noteFamily);
    this.#snapshots = new Snapshots(this.catalog, objects, this.#noteFamily);
    this.#janitor = new Janitor({
      ...{ catalog: this.catalog, objects, families, clock, allDisks, onError },
      onFamily: this.#noteFamily,
    });
    // Where a layer has become part of another, chains are shorter from then on.
    families.onChange((family) => {
      for (const vdi of this.#loaded.values()) {
        if (vdi.chain().family === family) this.#refresh(vdi, family);
      }
    });
  }

  #refresh(vdi: Vdi, family: number): void {
    const refresh = vdi
      .refresh()
      .catch((error) => {
        // The longer chain serves as well; an image that is gone is closed elsewhere.
        if (error.code !== 'ESTALE') this.#options.onError(error, family);
      })
      .finally(() => this.#refreshes.delete(refresh));
    this.#refreshes.add(refresh);
  }

  /** Takes up what an earlier process left: images without a name or handle, imports, families with work. */
  async start(): Promise<void> {
    await this.#options.opens?.start();
    for (const record of await this.catalog.vdis()) {
      const isLeft = record.importing === this.#options.host && !this.#importing.has(record.name);
      if (isLeft && !record.unlinked) await this.catalog.unlink(record.name, null);
      if (isLeft || record.unlinked) await this.removeIfUnused(record.id);
    }
    this.#janitor.start();
  }

  /** Stores what images have not stored yet and stops the work in the background. */
  async close(): Promise<void> {
    this.#listing.close();
    this.#idle.close();
    await this.#janitor.close();
    const failures: unknown[] = [];
    for (const vdi of this.#loaded.values()) {
      if (vdi.isSnapshot) continue;
      await vdi
        .flush(false)
        .then(() => vdi.settle())
        // Another host may have removed it.
        .catch(ifGone)
        .catch((error) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Resolves when the work in the background is done. */
  async idle(): Promise<void> {
    await this.#janitor.idle();
    await Promise.all(this.#refreshes);
  }

  /** The image, if it is loaded: for the hot path. */
  loaded(id: number): Vdi | undefined {
    return this.#loaded.get(id);
  }

  /** Loads an image. Throws VdiError ESTALE where there is none. */
  load(id: number): Promise<Vdi> {
    const vdi = this.#loaded.get(id);
    if (vdi) return Promise.resolve(vdi);
    let loading = this.#loading.get(id);
    if (!loading) {
      loading = this.#turns.run(id, () => this.#load(id)).finally(() => this.#loading.delete(id));
      this.#loading.set(id, loading);
    }
    return loading;
  }

  async #load(id: number): Promise<Vdi> {
    const stored = await this.catalog.vdi(id);
    if (!stored) throw gone(id);
    const { objects } = this.#options;
    const view = await this.catalog.view(id, stored.record.family);
    const vdi = new Vdi(view, { catalog: this.catalog, objects, onFamily: this.#noteFamily });
    // What a process that is gone has left to do is done before anybody sees the image.
    if (view.record.cutting || view.record.bound > view.record.size) await vdi.current();
    this.#loaded.set(id, vdi);
    return vdi;
  }

  /** The record as it is now. Throws VdiError ESTALE. */
  async record(id: number): Promise<VdiRecord> {
    const vdi = this.#loaded.get(id);
    if (vdi) {
      // Whoever holds the role knows the size; mode and owner another host may have changed.
      if (this.#options.opens) await vdi.refresh();
      return vdi.current();
    }
    const stored = await this.catalog.vdi(id);
    if (!stored) throw new VdiError('ESTALE', `image ${id} is gone`);
    return this.#current(stored.record);
  }

  /** A stored record with what may not be stored yet. */
  async #current(record: VdiRecord): Promise<VdiRecord> {
    const vdi = this.#loaded.get(record.id);
    if (vdi) {
      const { size, mtime, ctime } = await vdi.current();
      // What is stored is newer than what this host was told of it, but for what only the holder of the role knows.
      return { ...record, size, mtime, ctime: compareTimes(ctime, record.ctime) > 0 ? ctime : record.ctime };
    }
    // A size that may lag is found by loading.
    return record.bound > record.size || record.cutting ? (await this.load(record.id)).record : record;
  }

  /** Throws VdiError ENOENT. */
  async named(name: string): Promise<VdiRecord> {
    const entry: Stored<NameRecord> | null = await this.catalog.named(name);
    const record = entry && (await this.record(entry.record.vdi).catch(ifGone));
    // An image on its way in only keeps its name from others.
    if (!record || record.importing) throw new VdiError('ENOENT', `there is no ${name}`);
    return record;
  }

  /** Images that have a name, in the order of their numbers, from the first above `after` on, at most `limit`. */
  async list(after = 0, limit = Number.POSITIVE_INFINITY): Promise<VdiRecord[]> {
    for (let from = after; ; ) {
      const stored = await this.#listing.after(from, limit);
      const records = await Promise.all(stored.map((record) => this.#current(record).catch(ifGone)));
      const found = records.filter((record) => record !== null);
      // Only an empty list says that there are no more.
      if (found.length > 0 || stored.length === 0) return found;
      from = stored.at(-1)!.id;
    }
  }

  /** How many images have a name. */
  count(): Promise<number> {
    return this.#listing.count();
  }

  /** All that may lose something with a group: images and their snapshots. */
  async images(): Promise<Image[]> {
    const copies = new Map<number, number>();
    const images: Image[] = [];
    for (const { name, family, size, snapshotOf } of await this.catalog.vdis()) {
      if (!copies.has(family)) copies.set(family, (await this.catalog.family(family))?.record.copies ?? 1);
      const shown = snapshotOf === undefined ? name : `${name} (a snapshot)`;
      images.push({ name: shown, family, copies: copies.get(family)!, objects: Math.ceil(size / OBJECT_BYTES) });
    }
    return images;
  }

  create(name: string, options: NewVdi, request: RequestId | null = null): Promise<VdiRecord> {
    if (options.importing) this.#importing.add(name);
    return this.catalog.create(name, options, request);
  }

  /** Throws VdiError ENOENT. The data goes at once, or with the last handle. */
  async unlink(name: string, request: RequestId | null = null): Promise<void> {
    await this.#lostName(await this.catalog.unlink(name, request));
  }

  async rename(name: string, newName: string, flags: number, request: RequestId | null = null): Promise<void> {
    const lost = await this.catalog.rename(name, newName, flags, request);
    for (const each of [newName, name]) {
      const entry = await this.catalog.named(each);
      if (entry) await this.#reload(entry.record.vdi);
    }
    if (lost !== null) await this.#lostName(lost);
  }

  async #lostName(id: number): Promise<void> {
    await this.#reload(id);
    await this.removeIfUnused(id);
  }

  /** An image whose name is gone may have been removed by another host since. */
  async #reload(id: number): Promise<void> {
    await this.#loaded.get(id)?.reload().catch(ifGone);
  }

  /** Removes an image that has neither name nor handle. */
  async removeIfUnused(id: number): Promise<void> {
    if (!this.#isUsed(id)) await this.#turns.run(id, () => this.#remove(id));
  }

  /**
   * A handle of an image was opened: resolves when a removal that was under way has ended, and none can begin, on any host.
   * Throws VdiError ESTALE where the image is gone.
   */
  async opened(id: number): Promise<void> {
    await this.#turns.ended(id);
    await this.#options.opens?.opened(id);
    await this.record(id);
  }

  /** The last handle of an image was closed: another host that opens it for writing need not ask this one. */
  closed(id: number): void {
    this.#options.opens?.closed(id).catch((error) => this.#options.onError(error, id));
    if (this.#loaded.has(id)) this.#idle.closed(id);
  }

  #giveBack(id: number): void {
    const vdi = this.#loaded.get(id);
    if (!vdi || this.#isUsed(id)) return;
    // Where it cannot be given now, whoever wants it asks for it.
    vdi.objects.giveBack().catch((error) => this.#options.onError(error, vdi.chain().family));
  }

  async #remove(id: number): Promise<void> {
    if (this.#isUsed(id)) return;
    const stored = await this.catalog.vdi(id);
    if (stored && !stored.record.unlinked) return;
    // Whoever closes it last removes it.
    if (stored && (await this.#options.opens?.closedElsewhere(id)) === null) return;
    const vdi = this.#loaded.get(id) ?? (await this.#load(id).catch(ifGone));
    // Another host may have been faster.
    if (!vdi || (stored && !(await this.#removeStepwise(vdi)))) return;
    vdi.close();
    this.#loaded.delete(id);
    // Whoever is up knows that the image is gone, and nobody asks for its writer any more.
    await this.catalog.forgetWriter(id);
  }

  /** False where the image is used again. */
  async #removeStepwise(vdi: Vdi): Promise<boolean> {
    try {
      return await this.#options.objects.step([vdi.objects], Number.POSITIVE_INFINITY, async ([step]) => {
        const removal = await this.catalog.removal(vdi.id);
        if (!removal || this.#isUsed(vdi.id)) return { stored: false, result: false };
        const { compare, success } = removal.transaction;
        const { opens } = this.#options;
        const closed = opens ? await opens.closedElsewhere(vdi.id) : undefined;
        if (closed === null) return { stored: false, result: false };
        const isStored = await this.catalog.attempt({
          compare: [step!.compare, ...compare, ...(closed ? [closed] : [])],
          success: [step!.put, ...success],
        });
        if (!isStored) return 'again';
        vdi.removed(vdi.generation() + 1);
        this.#noteFamily(removal.family);
        return { stored: true, result: true };
      });
    } catch (error) {
      // An attempt whose answer was lost, or another host was faster.
      if ((error as { code?: unknown }).code === 'ESTALE') return true;
      throw error;
    }
  }

  #isUsed(id: number): boolean {
    return this.#options.isOpen(id) || this.#pins.has(id);
  }

  /** Keeps an image's data, whatever becomes of its name, until the answer is called. */
  pin(id: number): () => Promise<void> {
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
    let pinned = true;
    return async () => {
      if (!pinned) return;
      pinned = false;
      const left = this.#pins.get(id)! - 1;
      if (left > 0) this.#pins.set(id, left);
      else {
        this.#pins.delete(id);
        await this.removeIfUnused(id);
      }
    };
  }

  /** Shares a range instead of copying it; false where the bytes have to be copied. See Cloner. */
  share(source: Vdi, target: Vdi, offset: number, end: number, opened?: number): Promise<boolean> {
    return this.#cloner.share(source, target, offset, end, opened);
  }

  /** Takes a snapshot of an image. Throws VdiError ENOENT, EEXIST. */
  async snapshot(name: string, tag: string): Promise<VdiRecord> {
    return this.#snapshots.take(await this.load((await this.named(name)).id), tag);
  }

  /** Makes an image what its snapshot is. Throws VdiError ENOENT. */
  async rollBack(name: string, tag: string): Promise<void> {
    await this.#snapshots.rollBack(await this.load((await this.named(name)).id), tag);
  }

  /** Deletes a snapshot; its data goes at once, or with the last handle. Throws VdiError ENOENT. */
  async deleteSnapshot(name: string, tag: string): Promise<void> {
    await this.#lostName(await this.#snapshots.unlink(await this.named(name), tag));
  }

  /** The record of an image's snapshot. Throws VdiError ENOENT. */
  async snapshotOf(name: string, tag: string): Promise<VdiRecord> {
    return this.#snapshots.find(await this.named(name), tag);
  }

  /** Makes a new image that shows what `name`, or its snapshot, holds now. Throws VdiError ENOENT, EEXIST. */
  async clone(name: string, newName: string, tag: string | null = null): Promise<VdiRecord> {
    const from = tag === null ? await this.named(name) : await this.snapshotOf(name, tag);
    const source = await this.load(from.id);
    const copies = (await this.catalog.family(from.family))?.record.copies ?? 1;
    const { mode, uid, gid } = from;
    // Until it is whole it only keeps its name from others: nobody sees half a clone, not even after a crash.
    const made = await this.create(newName, { size: 0, mode, uid, gid, copies, importing: true });
    try {
      const target = await this.load(made.id);
      await this.#shareAll(source, target);
      return await target.setAttributes(({ importing: _done, ...whole }) => whole);
    } catch (error) {
      await this.unlink(newName);
      throw error;
    }
  }

  /**
   * Ends what hosts that are down have of an image: their handles are dead from then on. `change` carries out a
   * transaction that contains what it is given; see Objects.step. Throws VdiError ESTALE.
   */
  async endHandles(
    id: number,
    hosts: readonly string[],
    change: (step: GenerationStep) => Promise<Stepped<void>>,
  ): Promise<void> {
    const vdi = await this.load(id);
    await this.#options.objects.step([vdi.objects], Number.POSITIVE_INFINITY, ([step]) => change(step!), hosts);
  }

  /** Gives an empty image all that another one shows, however long that is by then. Throws VdiError EAGAIN. */
  async #shareAll(source: Vdi, target: Vdi): Promise<void> {
    for (let attempt = 0; attempt < CLONE_ATTEMPTS_MAX; attempt++) {
      const { size } = await source.current();
      if (size === 0 || (await this.share(source, target, 0, size))) return;
    }
    throw new VdiError('EAGAIN', `${source.record.name} changes its size all the time; try again`);
  }

  /** Bytes that all takes up which the image shows, on this host. Some of it may be shown by others as well. */
  async usage(record: VdiRecord): Promise<number> {
    const vdi = this.#loaded.get(record.id);
    const family = vdi ? null : await this.catalog.family(record.family);
    const chain = vdi?.chain() ?? (family && chainOf(family.record, record.id));
    let bytes = 0;
    for (const { layer } of chain?.layers ?? []) bytes += this.#options.objects.usage(chain!.family, layer);
    return bytes;
  }

  /**
   * Bytes that each of these images takes up on this host, with its snapshots, by its number. What several show counts for
   * one of them: see `layerOwners`.
   */
  async used(records: readonly VdiRecord[]): Promise<Map<number, number>> {
    const given = new Map(records.map((record) => [record.id, record]));
    const used = new Map(records.map(({ id }) => [id, 0]));
    const families = new Set(records.map(({ family }) => family));
    await Promise.all(
      [...families].map(async (id) => {
        const family = (await this.catalog.family(id))?.record;
        if (!family) return;
        // What is given is as new, or newer.
        const listed = await this.#listing.of(Object.keys(family.images).map(Number));
        for (const [layer, owner] of layerOwners(family, new Map([...listed, ...given]))) {
          const before = used.get(owner);
          if (before !== undefined) used.set(owner, before + this.#options.objects.usage(id, layer));
        }
      }),
    );
    return used;
  }

  #noteFamily = (family: FamilyRecord): void => {
    this.#options.families.note(family);
  };
}

/** An image that was removed since it was listed is left out. */
function ifGone(error: unknown): null {
  if (error instanceof VdiError && error.code === 'ESTALE') return null;
  throw error;
}
