import {
  AdministrationError,
  EXTENT_BYTES_MAX,
  type Extent,
  type VdiExport,
  type VdiImport,
  type VdiInfo,
} from '../control/administration.js';
import { SEEK_DATA, SEEK_HOLE, type Timestamp } from '../fuse/operations.js';
import { VdiError } from '../vdi/errors.js';
import { NameError, validateVdiName } from '../vdi/name.js';
import { VDI_BYTES_MAX, type VdiRecord } from '../vdi/records.js';
import type { Vdi } from '../vdi/vdi.js';
import type { Vdis } from '../vdi/vdis.js';

const NEW_MODE = 0o600;

function isoTime({ seconds, nanoseconds }: Timestamp): string {
  return new Date(seconds * 1000 + nanoseconds / 1e6).toISOString();
}

/** What an image's error means to whoever administers it. Answers the error itself where it is none of those. */
export function administrationError(error: unknown): unknown {
  if (error instanceof NameError) return new AdministrationError('INVALID', error.message);
  if (error instanceof VdiError && error.code === 'ENOENT') return new AdministrationError('NOT_FOUND', error.message);
  if (error instanceof VdiError && error.code === 'EEXIST') {
    return new AdministrationError('EXISTS', error.message, 'choose another name, or delete that image first');
  }
  if (error instanceof VdiError) return new AdministrationError('INVALID', error.message);
  if ((error as { code?: unknown } | null)?.code === 'ENOSPC') {
    return new AdministrationError('NO_SPACE', 'the disks are full', 'delete images or add a disk');
  }
  return error;
}

async function explained<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw administrationError(error);
  }
}

async function* extentsOf(vdi: Vdi, done: () => Promise<void>): AsyncGenerator<Extent, void> {
  try {
    for (let at = await vdi.seek(0, SEEK_DATA); at !== null; at = await vdi.seek(at, SEEK_DATA)) {
      const end = (await vdi.seek(at, SEEK_HOLE)) ?? vdi.size;
      while (at < end) {
        const data = Buffer.allocUnsafe(Math.min(EXTENT_BYTES_MAX, end - at));
        const bytes = await vdi.read(at, data);
        if (bytes === 0) return; // cut meanwhile
        yield { offset: at, data: data.subarray(0, bytes) };
        at += bytes;
      }
    }
  } finally {
    await done();
  }
}

/** The part of the administration that is about images. */
export class ImageAdministration {
  readonly #vdis: Vdis;
  readonly #opens: (vdi: number) => number;
  readonly #copies: number;
  readonly #free: () => number;

  /** `opens`: how many handles of an image are open, on any host. `free`: bytes that images can still take. */
  constructor(options: { vdis: Vdis; opens: (vdi: number) => number; copies: number; free: () => number }) {
    this.#vdis = options.vdis;
    this.#opens = options.opens;
    this.#copies = options.copies;
    this.#free = options.free;
  }

  async list(): Promise<VdiInfo[]> {
    const records = await this.#vdis.list();
    const used = await this.#vdis.used(records);
    const infos = await Promise.all(records.map((record) => this.#info(record, used)));
    return infos.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  info(name: string): Promise<VdiInfo> {
    return explained(async () => this.#info(await this.#vdis.named(name)));
  }

  create(name: string, size: number, options: { copies?: number }): Promise<VdiInfo> {
    return explained(async () => {
      validateVdiName(name);
      if (size > VDI_BYTES_MAX) throw new VdiError('EFBIG', `${size} bytes are more than the greatest image`);
      const copies = options.copies ?? this.#copies;
      return this.#info(await this.#vdis.create(name, { size, mode: NEW_MODE, uid: 0, gid: 0, copies }));
    });
  }

  resize(name: string, size: number, options: { shrink: boolean }): Promise<VdiInfo> {
    return explained(async () => {
      const vdi = await this.#vdis.load((await this.#vdis.named(name)).id);
      if (size < vdi.size && !options.shrink) {
        throw new AdministrationError(
          'WOULD_LOSE_DATA',
          `${name} has ${vdi.size} bytes, and what lies beyond ${size} would be lost`,
          'give --shrink if that is wanted',
        );
      }
      await vdi.resize(size);
      return this.#info(vdi.record);
    });
  }

  delete(name: string, options: { force: boolean }): Promise<void> {
    return explained(async () => {
      const { id } = await this.#vdis.named(name);
      if (this.#opens(id) > 0 && !options.force) {
        throw new AdministrationError('IN_USE', `${name} is open`, 'stop the guest that uses it, or give --force');
      }
      await this.#vdis.unlink(name);
    });
  }

  clone(name: string, newName: string): Promise<VdiInfo> {
    return explained(async () => {
      validateVdiName(newName);
      return this.#info(await this.#vdis.clone(name, newName));
    });
  }

  export(name: string): Promise<VdiExport> {
    return explained(async () => {
      const record = await this.#vdis.named(name);
      const unpin = this.#vdis.pin(record.id);
      try {
        const vdi = await this.#vdis.load(record.id);
        const used = Math.min(vdi.size, await this.#vdis.usage(vdi.record));
        return { size: vdi.size, used, extents: extentsOf(vdi, unpin) };
      } catch (error) {
        await unpin();
        throw error;
      }
    });
  }

  import(name: string, options: { size?: number }): Promise<VdiImport> {
    return explained(async () => {
      validateVdiName(name);
      const { size } = options;
      if (size !== undefined && size > this.#free()) {
        throw new AdministrationError(
          'NO_SPACE',
          `${size} bytes do not fit: ${this.#free()} are free`,
          'delete images or add a disk',
        );
      }
      const copies = this.#copies;
      const record = await this.#vdis.create(name, {
        size: 0,
        mode: NEW_MODE,
        uid: 0,
        gid: 0,
        copies,
        importing: true,
      });
      const vdi = await this.#vdis.load(record.id);
      return {
        write: ({ offset, data }) =>
          explained(async () => {
            await vdi.write(offset, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
          }),
        finish: (end) =>
          explained(async () => {
            await vdi.resize(end);
            await vdi.flush(true);
            await vdi.setAttributes(({ importing: _done, ...finished }) => finished);
            return this.#info(vdi.record);
          }),
        abort: () => this.#vdis.unlink(name),
      };
    });
  }

  async #info(record: VdiRecord, known: ReadonlyMap<number, number> | null = null): Promise<VdiInfo> {
    const [used, family, parent] = await Promise.all([
      known ?? this.#vdis.used([record]),
      this.#vdis.catalog.family(record.family),
      record.parent === undefined ? null : this.#vdis.catalog.vdi(record.parent),
    ]);
    return {
      name: record.name,
      number: record.id,
      size: record.size,
      used: used.get(record.id) ?? 0,
      copies: family?.record.copies ?? this.#copies,
      parent: parent && !parent.record.unlinked ? parent.record.name : null,
      created: isoTime(record.created),
      modified: isoTime(record.mtime),
      opens: this.#opens(record.id),
    };
  }
}
