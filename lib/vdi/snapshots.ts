import type { GenerationStep, Objects, Stepped } from '../replication/object-io.js';
import { type Catalog, noWriter, put } from './catalog.js';
import { gone, VdiError } from './errors.js';
import { nextVersion, pushSnapshot, rollBack } from './family.js';
import { type FamilyRecord, KEY, type VdiRecord } from './records.js';
import type { Vdi } from './vdi.js';

/**
 * Snapshots of images: each is an image of its own that is never written, with the layer that the image had, while the
 * image goes on in a new one.
 */
export class Snapshots {
  readonly #catalog: Catalog;
  readonly #objects: Objects;
  readonly #onFamily: (family: FamilyRecord) => void;

  constructor(catalog: Catalog, objects: Objects, onFamily: (family: FamilyRecord) => void) {
    this.#catalog = catalog;
    this.#objects = objects;
    this.#onFamily = onFamily;
  }

  /**
   * Takes a snapshot of an image as it is at one moment: guests pause for that, and go on. Throws VdiError EEXIST where it
   * has one with this tag.
   */
  async take(vdi: Vdi, tag: string): Promise<VdiRecord> {
    const id = await this.#catalog.nextNumber();
    return vdi.frozen(async () => {
      const { record, family } = await this.#objects.step([vdi.objects], Number.POSITIVE_INFINITY, ([step]) =>
        this.#store(vdi, id, tag, step!),
      );
      vdi.stepped();
      this.#onFamily(family);
      return record;
    });
  }

  async #store(
    vdi: Vdi,
    id: number,
    tag: string,
    step: GenerationStep,
  ): Promise<Stepped<{ record: VdiRecord; family: FamilyRecord }>> {
    const { found, family } = await this.#read(vdi);
    const earlier = await this.#catalog.snapshot(vdi.id, tag);
    if (earlier) {
      // An attempt whose answer was lost.
      const record = earlier.record.vdi === id ? await this.#catalog.vdi(id) : null;
      if (record) return { stored: false, result: { record: record.record, family: family.record } };
      throw new VdiError('EEXIST', `${found.record.name} has a snapshot ${tag} already`);
    }
    const settled = vdi.settledRecord(found.record);
    const time = this.#catalog.now();
    const { unlinked: _unlinked, importing: _importing, ...kept } = settled;
    const record: VdiRecord = { ...kept, id, name: tag, snapshotOf: vdi.id, created: time };
    const changed = nextVersion(pushSnapshot(family.record, vdi.id, id, settled.size));
    const isStored = await this.#catalog.attempt({
      compare: [
        step.compare,
        { key: KEY.vdi(vdi.id), modRevision: found.revision },
        { key: KEY.family(changed.id), modRevision: family.revision },
        { key: KEY.snapshot(vdi.id, tag), modRevision: 0 },
      ],
      success: [
        step.put,
        put(KEY.vdi(vdi.id), settled),
        put(KEY.vdi(id), record),
        noWriter(id),
        put(KEY.snapshot(vdi.id, tag), { vdi: id }),
        put(KEY.family(changed.id), changed),
      ],
    });
    return isStored ? { stored: true, result: { record, family: changed } } : 'again';
  }

  /** Makes the image what its snapshot is; what it was is gone. Throws VdiError ENOENT. */
  async rollBack(vdi: Vdi, tag: string): Promise<void> {
    await vdi.frozen(async () => {
      const family = await this.#objects.step([vdi.objects], Number.POSITIVE_INFINITY, ([step]) =>
        this.#storeRollback(vdi, tag, step!),
      );
      vdi.stepped();
      this.#onFamily(family);
    });
  }

  async #storeRollback(vdi: Vdi, tag: string, step: GenerationStep): Promise<Stepped<FamilyRecord>> {
    const { found, family } = await this.#read(vdi);
    const name = await this.#catalog.snapshot(vdi.id, tag);
    const snapshot = name && (await this.#catalog.vdi(name.record.vdi));
    if (!name || !snapshot) throw noSnapshot(found.record.name, tag);
    const { size } = snapshot.record;
    const time = this.#catalog.now();
    const { cutting: _cutting, ...kept } = found.record;
    const changed = nextVersion(rollBack(family.record, vdi.id, snapshot.record.id, size));
    const isStored = await this.#catalog.attempt({
      compare: [
        step.compare,
        { key: KEY.vdi(vdi.id), modRevision: found.revision },
        { key: KEY.snapshot(vdi.id, tag), modRevision: name.revision },
        { key: KEY.family(changed.id), modRevision: family.revision },
      ],
      success: [
        step.put,
        put(KEY.vdi(vdi.id), { ...kept, size, bound: size, mtime: time, ctime: time }),
        put(KEY.family(changed.id), changed),
      ],
    });
    return isStored ? { stored: true, result: changed } : 'again';
  }

  async #read(vdi: Vdi) {
    const found = await this.#catalog.vdi(vdi.id);
    const family = found && (await this.#catalog.family(found.record.family));
    if (!found || !family) throw gone(vdi.id);
    return { found, family };
  }

  /** The record of an image's snapshot. Throws VdiError ENOENT. */
  async find(image: VdiRecord, tag: string): Promise<VdiRecord> {
    const name = await this.#catalog.snapshot(image.id, tag);
    const found = name && (await this.#catalog.vdi(name.record.vdi));
    if (!found) throw noSnapshot(image.name, tag);
    return found.record;
  }

  /** Takes a snapshot's tag away; answers its number: the caller removes it when nobody has it open. Throws VdiError ENOENT. */
  unlink(image: VdiRecord, tag: string): Promise<number> {
    let attempted: number | null = null;
    return this.#catalog.change(async () => {
      const name = await this.#catalog.snapshot(image.id, tag);
      // An attempt whose answer was lost.
      if (!name && attempted !== null) return { answer: attempted };
      const found = name && (await this.#catalog.vdi(name.record.vdi));
      if (!name || !found) throw noSnapshot(image.name, tag);
      const { id } = found.record;
      attempted = id;
      return {
        answer: id,
        compare: [
          { key: KEY.snapshot(image.id, tag), modRevision: name.revision },
          { key: KEY.vdi(id), modRevision: found.revision },
        ],
        success: [
          { delete: KEY.snapshot(image.id, tag) },
          put(KEY.vdi(id), { ...found.record, unlinked: true, ctime: this.#catalog.now() }),
        ],
      };
    });
  }
}

function noSnapshot(name: string, tag: string): VdiError {
  return new VdiError('ENOENT', `${name} has no snapshot ${tag}`);
}
