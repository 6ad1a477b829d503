import { join } from 'node:path';
import { groupIn, type MapGroup } from '../../lib/cluster/cluster-map.js';
import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { PULL_HASH_BYTES } from '../../lib/store/block-hashes.js';
import { FIELD_MAX } from '../../lib/store/constants.js';
import { fileName, NO_END, NOTHING, OBJECT } from '../../lib/store/entry.js';
import type { DirectoryEntry } from '../../lib/store/files.js';
import type { Disk } from '../../lib/store/index.js';
import { type DescribedLayer, describeIndex } from '../../lib/store/object-describe.js';
import { workOf } from '../../lib/vdi/family.js';
import { decodeRecord, type FamilyRecord, KEY } from '../../lib/vdi/records.js';
import type { SimulatedStore } from './coordination-store.js';
import type { ImageModel } from './image-model.js';
import type { Run } from './simulated-host.js';
import type { SimulatedImage } from './simulated-image.js';
import type { Workload } from './workload.js';
import type { World } from './world.js';

/** Read at once when all is read back; of 1 MiB writes a part. */
const READ_BYTES = 256 * 1024;
/** What disks have of groups that they left is gone within so long, in milliseconds. */
const GIVEN_BACK_MS = 60_000;
/** What the holder of a role retires is not answered: it has arrived after so long, in milliseconds. */
const RETIRED_AFTER_MS = 2000;
const NO_HANDLE = Number.POSITIVE_INFINITY;

interface Group {
  readonly copies: number;
  readonly pg: number;
  readonly members: MapGroup;
}

/**
 * Holds a cluster against its promises when all is quiet: nothing happens to it any more, every host runs, every group is
 * whole, and no guest waits for anything.
 */
export class Checkers {
  readonly #world: World;
  readonly #workload: Pick<Workload, 'images'>;

  constructor(world: World, workload: Pick<Workload, 'images'>) {
    this.#world = world;
    this.#workload = workload;
  }

  /** Rejects with what is not as it should be. */
  async check(): Promise<void> {
    await this.#readBack();
    await this.#surveyAll();
    await this.#handOver();
    await this.#wait(RETIRED_AFTER_MS);
    await this.#waitForSpace();
    this.#checkToDo();
    await this.#checkActive();
    await this.#compareAll();
  }

  /** Every host shows of every image what it may show, and all of them the same. */
  async #readBack(): Promise<void> {
    for (const image of this.#workload.images) {
      for (const { vdi, model } of [image, ...image.snapshots]) {
        await Promise.all(this.#world.hosts.map((host) => this.#readImage(vdi, model, host.run!, host.id)));
      }
    }
  }

  async #readImage(vdi: number, model: ImageModel, run: Run, host: string): Promise<void> {
    const opened = await run.vdis.load(vdi);
    for (const { start, end } of model.writtenRanges()) {
      for (let at = start; at < end; ) {
        const index = Math.floor(at / OBJECT_BYTES);
        const length = Math.min(READ_BYTES, end - at, (index + 1) * OBJECT_BYTES - at);
        const check = model.beginRead(null, at, length);
        const data = Buffer.allocUnsafe(length);
        // What lies beyond the end counts as zeros.
        data.fill(0, await opened.read(at, data));
        try {
          check(data);
        } catch (error) {
          throw new Error(`in the end, vdi ${vdi} on ${host}: ${(error as Error).message}`, { cause: error });
        }
        at += length;
      }
    }
  }

  /**
   * Every host finds of every image the same objects, and the same end; but for that of a layer that is being merged with
   * the one below, which each copy does by itself.
   */
  async #surveyAll(): Promise<void> {
    for (const image of this.#workload.images) {
      const isMerging = image.family.merging.length > 0;
      const found = await Promise.all(this.#world.hosts.map(({ run }) => survey(image, run!, isMerging)));
      if (new Set(found).size > 1) throw new Error(`in the end, vdi ${image.vdi} has on its hosts ${found.join('; ')}`);
    }
  }

  /** The role of every image goes from host to host, so that whoever holds it makes all equal, flushes and retires. */
  async #handOver(): Promise<void> {
    for (const image of this.#workload.images) {
      const { holder } = image.writer;
      if (!holder) continue;
      const others = this.#world.hosts.filter(({ id }) => id !== holder.host).slice(0, 2);
      for (const { run } of others) {
        await (await image.on(run!)).objects.hold(NO_HANDLE);
      }
      // With nobody to give it to, its holder does so by itself after a flush.
      if (others.length > 0) continue;
      for (const { run } of this.#world.hosts) await (await image.on(run!)).flush(true);
    }
  }

  /** No disk keeps anything of a group that it is no member of, nor a file that its index does not have. */
  async #waitForSpace(): Promise<void> {
    const deadlineMs = this.#world.scheduler.nowMs + GIVEN_BACK_MS;
    for (;;) {
      const families = this.#world.store.peekRange(KEY.families);
      const working = families.filter(({ value }) => workOf(decodeRecord<FamilyRecord>(value)).length > 0);
      const kept = (
        await Promise.all(this.#world.hosts.flatMap(({ run }) => run!.disks).map(whatIsKept(this.#world)))
      ).filter((what) => what !== null);
      for (const { key, value } of working) {
        const { doomed, merging, confirmed } = decodeRecord<FamilyRecord>(value);
        kept.push(`${key} has layers that are to go: ${JSON.stringify({ doomed, merging, confirmed })}`);
      }
      if (kept.length === 0) return;
      if (this.#world.scheduler.nowMs > deadlineMs) throw new Error(`space is not given back: ${kept.join('; ')}`);
      await this.#wait(GIVEN_BACK_MS / 100);
    }
  }

  #checkToDo(): void {
    for (const { copies, pg, members } of this.#groups()) {
      for (const disk of this.#disks(members.acting)) {
        const left = disk.toDo.count({ copies, pg });
        if (left > 0) throw new Error(`disk ${disk.number} still has ${left} indexes of group ${copies}/${pg} to do`);
      }
    }
  }

  /**
   * A member that missed a retirement, as one does that has the index still to pull, has the object active until the next
   * fence, and so has in the end who pulls it from there. The next fence finds it, and it is retired then.
   */
  async #checkActive(): Promise<void> {
    for (const image of this.#workload.images) {
      if (this.#activeEverywhere(image) === null) continue;
      await this.#fence(image);
      const active = this.#activeEverywhere(image);
      if (active !== null) throw new Error(`object ${active} is active for ever`);
    }
  }

  #activeEverywhere(image: SimulatedImage): string | null {
    const { family, layers } = image.chain;
    const { layer } = layers[0]!;
    for (let index = 0; index < image.indexes; index++) {
      const { acting } = groupIn(this.#world.map, image.copies, image.pgOf(index));
      const isActive = (disk: Disk) => disk.index.isActive(family, index, layer);
      if (this.#disks(acting).every(isActive)) return `${family}/${layer}/${index}`;
    }
    return null;
  }

  /** The worker of the holder restarts: it takes the role anew, and flushes what that finds. */
  async #fence(image: SimulatedImage): Promise<void> {
    const host = this.#world.hosts.find(({ id }) => id === image.writer.holder?.host) ?? this.#world.hosts[0]!;
    // Who takes a role that was given back clean asks nobody, although a power cut has brought records of activity back.
    await (await image.on(host.run!)).objects.hold(NO_HANDLE);
    host.kill();
    host.start();
    await (await image.on(await host.running())).flush(true);
    while (this.#world.unhealthy !== null) await this.#wait(RETIRED_AFTER_MS);
    await this.#wait(RETIRED_AFTER_MS);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.scheduler.after(ms, resolve));
  }

  /** All members of a group have the same, layer by layer, whatever some still have active that others have retired. */
  async #compareAll(): Promise<void> {
    for (const { members, pg, copies } of this.#groups()) {
      const disks = this.#disks(members.acting);
      for (const image of this.#workload.images) {
        if (image.copies !== copies) continue;
        for (let index = 0; index < image.indexes; index++) {
          if (image.pgOf(index) === pg) await this.#compare(image, index, pg, disks);
        }
      }
    }
  }

  async #compare(image: SimulatedImage, index: number, pg: number, disks: readonly Disk[]): Promise<void> {
    const { family } = image.chain;
    const shown = new Map<string, number>();
    for (const disk of disks) {
      const { layers } = await describeIndex(disk, { pg, family, index });
      // One that missed the retirement of what was discarded whole has it active, and no data: see `#checkActive`.
      const present = layers.filter(({ kind }) => kind !== NOTHING);
      shown.set(present.map(describeLayer).join('; '), disk.number);
    }
    if (shown.size < 2) return;
    const differing = [...shown].map(([what, disk]) => `on disk ${disk} ${what || 'nothing'}`).join(', ');
    throw new Error(`copies of vdi ${image.vdi} differ at index ${index}: ${differing}`);
  }

  #disks(numbers: readonly number[]): Disk[] {
    const all = this.#world.hosts.flatMap(({ run }) => run!.disks);
    return numbers.map((number) => all.find((disk) => disk.number === number)!);
  }

  #groups(): Group[] {
    return Object.entries(this.#world.map.tables).flatMap(([copies, table]) =>
      table.map((members, pg) => ({ copies: Number(copies), pg, members })),
    );
  }
}

/** What an image has, as a host finds it, in words. */
async function survey(image: SimulatedImage, run: Run, isMerging: boolean): Promise<string> {
  const vdi = await image.on(run);
  const { size } = await vdi.current();
  const opened = vdi.objects;
  const parts: string[] = [];
  for (let from = 0; ; ) {
    const index = await opened.next(from, image.indexes);
    if (index === null) break;
    parts.push(`${index}`);
    from = index + 1;
  }
  const end = isMerging ? 'wherever' : await opened.end(image.indexes * OBJECT_BYTES);
  return `${parts.join(', ')} to ${end}, size ${size}`;
}

/** The layers of a family that something refers to, by what is stored at this moment. */
function layersOf(store: SimulatedStore, family: number): ReadonlySet<number> {
  const found = store.peek(KEY.family(family));
  if (!found) return new Set();
  const record = decodeRecord<FamilyRecord>(found.value);
  const isGone = new Set(workOf(record));
  return new Set(
    Object.keys(record.layers)
      .map(Number)
      .filter((layer) => !isGone.has(layer)),
  );
}

/** What a disk has that it should not have, in words, or null. */
function whatIsKept({ map, placement, store }: World): (disk: Disk) => Promise<string | null> {
  return async (disk) => {
    if (disk.failed) return null;
    const isMember = (copies: number, pg: number) => {
      const { acting, insync } = groupIn(map, copies, pg);
      return acting.includes(disk.number) || insync.includes(disk.number);
    };
    const record = disk.groups.all().find(({ copies, pg }) => !isMember(copies, pg));
    if (record) return `disk ${disk.number} has a record of group ${record.copies}/${record.pg}`;
    const names = new Set<string>();
    const isForeign = (family: number, index: number) =>
      !isMember(placement.copiesOf(family), placement.pgOf(family, index));
    for (let family = disk.index.nextFamily(0); family !== null; family = disk.index.nextFamily(family + 1)) {
      const layers = layersOf(store, family);
      for (const { index, layer, kind, serial } of disk.index.scan(family, 0, FIELD_MAX + 1, Number.MAX_SAFE_INTEGER)) {
        if (!layers.has(layer)) return `disk ${disk.number} has ${family}/${layer}/${index}, which nothing refers to`;
        if (isForeign(family, index)) return `disk ${disk.number} has index ${family}/${index}`;
        if (kind === OBJECT) names.add(`${placement.pgOf(family, index)}/${fileName(family, index, serial)}`);
      }
    }
    for (const { family, index } of disk.index.activeObjects()) {
      if (isForeign(family, index)) return `disk ${disk.number} has ${family}/${index} active`;
    }
    const file = (await filesOf(disk)).find((name) => !names.has(name));
    return file === undefined ? null : `disk ${disk.number} has file ${file}`;
  };
}

async function filesOf(disk: Disk): Promise<string[]> {
  const list = (directory: string) =>
    disk.io.call<DirectoryEntry[]>((done) => disk.io.files.readdir(directory, { withFileTypes: true }, done));
  const objects = join(disk.directory, 'objects');
  const groups = await list(objects);
  const files = groups.map(async ({ name }) => (await list(join(objects, name))).map((file) => `${name}/${file.name}`));
  return (await Promise.all(files)).flat();
}

/** Characters of a block's hash that are shown. */
const HASH_CHARACTERS = 8;

/** Two that are the same have the same description; whether they are active is no part of it. */
function describeLayer({ layer, kind, end, length, hashes }: DescribedLayer): string {
  const blocks: string[] = [];
  for (let block = 0; block * PULL_HASH_BYTES < hashes.length; block++) {
    const hash = hashes.toString('hex', block * PULL_HASH_BYTES, (block + 1) * PULL_HASH_BYTES);
    if (!/^0*$/.test(hash)) blocks.push(`${block}:${hash.slice(0, HASH_CHARACTERS)}`);
  }
  return `layer ${layer} kind ${kind} of ${end === NO_END ? length : end} with blocks ${blocks.join(' ')}`;
}
