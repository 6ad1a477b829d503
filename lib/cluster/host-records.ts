import { z } from 'zod';
import type { AliveRecord } from './alive-record.js';
import type { HostRecord } from './host-record.js';
import { RecordCodec } from './record.js';

const number = z.int().nonnegative();

const hostCodec = new RecordCodec<HostRecord>(
  'the record of a host',
  1,
  z.strictObject({
    id: z.string().min(1),
    name: z.string(),
    zone: z.string(),
    standing: z.enum(['in', 'draining', 'out']),
    disks: z.array(
      z.strictObject({
        number,
        weight: number,
        standing: z.enum(['in', 'removing', 'failed']),
        opens: number,
        openedBy: number.optional(),
      }),
    ),
    publicKey: z.string(),
    addresses: z.array(z.string()),
    banned: z.boolean(),
    bannedDisks: z.array(number),
  }),
);

const aliveCodec = new RecordCodec<AliveRecord>(
  'the heartbeat of a host',
  1,
  z.strictObject({
    incarnation: z.int().positive(),
    bootId: z.string().min(1),
    adopted: number,
    counter: number,
    disks: z.array(z.strictObject({ number, opens: number, free: number, room: z.enum(['ample', 'scarce', 'none']) })),
    unreachable: z.array(z.string()).optional(),
  }),
);

export function encodeHostRecord(record: HostRecord): Uint8Array {
  return hostCodec.encode(record);
}

/** Throws RecordError WRONG_FORMAT, as decodeClusterMap. */
export function decodeHostRecord(bytes: Uint8Array): HostRecord {
  return hostCodec.decode(bytes);
}

export function encodeAliveRecord(record: AliveRecord): Uint8Array {
  return aliveCodec.encode(record);
}

/** Throws RecordError WRONG_FORMAT, as decodeClusterMap. */
export function decodeAliveRecord(bytes: Uint8Array): AliveRecord {
  return aliveCodec.decode(bytes);
}
