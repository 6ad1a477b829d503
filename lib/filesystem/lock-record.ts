import { z } from 'zod';
import { OperationError } from '../fuse/errno.js';
import type { FileLock } from './lock-table.js';

const FORMAT = 1;

const byte = z.int().nonnegative();

const lockRecord = z.strictObject({
  format: z.literal(FORMAT),
  locks: z.array(
    z.strictObject({
      kind: z.enum(['posix', 'flock']),
      type: z.enum(['read', 'write']),
      start: byte,
      end: byte,
      owner: z.string().regex(/^[0-9a-f]{16}$/),
      pid: z.int(),
      handle: z.int().nonnegative(),
      host: z.string(),
    }),
  ),
});

export function encodeLocks(locks: readonly FileLock[]): Uint8Array {
  return Buffer.from(JSON.stringify({ format: FORMAT, locks }));
}

/** Throws OperationError EIO, which names `key`, for what no release up to this one wrote. */
export function decodeLocks(key: string, value: Uint8Array): FileLock[] {
  try {
    return lockRecord.parse(JSON.parse(Buffer.from(value).toString())).locks;
  } catch (error) {
    throw new OperationError('EIO', `what is stored in ${key} cannot be read: ${(error as Error).message}`);
  }
}
