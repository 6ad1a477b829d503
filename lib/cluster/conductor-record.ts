import { z } from 'zod';
import { RecordCodec } from './record.js';

/** Who replaces the map: `/conductor`. */
export interface ConductorRecord {
  readonly host: string;
  readonly incarnation: number;
  /** Differs with each renewal. */
  readonly counter: number;
  /** How often in a row a new incarnation of the host took the role at once. */
  readonly takes: number;
}

export const CONDUCTOR_KEY = '/conductor';

const codec = new RecordCodec<ConductorRecord>(
  'the record of the conductor',
  1,
  z.strictObject({
    host: z.string().min(1),
    incarnation: z.int().positive(),
    counter: z.int().nonnegative(),
    takes: z.int().nonnegative().default(0),
  }),
);

export function encodeConductorRecord(record: ConductorRecord): Uint8Array {
  return codec.encode(record);
}

/** Throws RecordError WRONG_FORMAT, as decodeClusterMap. */
export function decodeConductorRecord(bytes: Uint8Array): ConductorRecord {
  return codec.decode(bytes);
}
