import type { Vdi } from '../vdi/vdi.js';

/** Copied by one request at the most: the caller asks again for the rest, and can be interrupted between. */
const COPY_BYTES_MAX = 64 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

function isZero(bytes: Buffer): boolean {
  return bytes.equals(bytes.length === CHUNK_BYTES ? ZEROS : ZEROS.subarray(0, bytes.length));
}

/**
 * Copies bytes the plain way, where layers cannot be shared; zeros are discarded in the target instead of written.
 * Answers how many bytes were copied; at least one chunk unless the source has ended.
 */
export async function copyBytes(
  source: Vdi,
  sourceOffset: number,
  target: Vdi,
  targetOffset: number,
  length: number,
): Promise<number> {
  const total = Math.min(length, COPY_BYTES_MAX);
  const buffer = Buffer.allocUnsafe(Math.min(total, CHUNK_BYTES));
  for (let done = 0; done < total; ) {
    const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, total - done));
    const bytes = await source.read(sourceOffset + done, chunk);
    if (bytes === 0) return done;
    const data = chunk.subarray(0, bytes);
    const at = targetOffset + done;
    if (isZero(data)) {
      await target.grow(at + bytes);
      await target.discard(at, bytes);
    } else await target.write(at, data);
    done += bytes;
  }
  return total;
}
