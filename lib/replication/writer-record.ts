import { z } from 'zod';
import { DecodeMemory } from '../cluster/decode-memory.js';

/** Who writes to an image: `/writer/<vdi>`. */
export interface WriterRecord {
  /** Grows by one with each fence and each hand-over. */
  readonly generation: number;
  /** Null: nobody holds the role. */
  readonly holder: { readonly host: string; readonly incarnation: number } | null;
  /** What was written before this generation is flushed, and equal at all copies. */
  readonly clean: boolean;
  /**
   * By host, the generation by which its role was last taken because another host opened the image for writing and took
   * its lock or wrote: handles that were opened there before it are dead.
   */
  readonly fenced: Readonly<Record<string, number>>;
  /**
   * The host that the role was taken from by fence only to make copies equal, until it takes it back, or a guest of
   * another host writes: then its handles are dead as well.
   */
  readonly owed: string | null;
}

export const NO_WRITER: WriterRecord = { generation: 0, holder: null, clean: true, fenced: {}, owed: null };

const schema = z.strictObject({
  generation: z.int().nonnegative(),
  holder: z.strictObject({ host: z.string(), incarnation: z.int().positive() }).nullable(),
  clean: z.boolean(),
  fenced: z.record(z.string(), z.int().positive()),
  owed: z.string().nullable(),
});

/** Where the records of all images are. */
export const WRITERS = '/writer/';

const memory = new DecodeMemory<WriterRecord>();

export function writerKey(vdi: number): string {
  return `${WRITERS}${vdi}`;
}

export function encodeWriter(record: WriterRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

/** Throws a ZodError or SyntaxError for what is none. */
export function decodeWriter(value: Uint8Array): WriterRecord {
  return memory.decode(value, (text) => schema.parse(JSON.parse(text)));
}

/**
 * A group has lost what guests of the host were told is written: their handles are dead. With those of the host that it
 * has the role from only to make copies equal.
 */
export function withLoss(record: WriterRecord, host: string): WriterRecord {
  const generation = record.generation + 1;
  const fenced = { ...record.fenced, [host]: generation };
  const { owed } = record;
  if (owed === null || record.holder?.host !== host) return { ...record, fenced };
  return { ...record, fenced: { ...fenced, [owed]: generation }, owed: null };
}
