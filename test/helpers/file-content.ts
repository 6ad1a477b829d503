import { createHash, randomFillSync } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

const CHUNK_BYTES = 1024 * 1024;

/** Writes `bytes` of random data into a file at an offset; the file is made when it is missing. */
export async function writeRandom(path: string, bytes: number, offset = 0): Promise<void> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const handle = await open(path, existsSync(path) ? 'r+' : 'w');
  try {
    for (let done = 0; done < bytes; done += chunk.length) {
      randomFillSync(chunk);
      await handle.write(chunk, 0, Math.min(chunk.length, bytes - done), offset + done);
    }
  } finally {
    await handle.close();
  }
}

/** SHA-256 of a part of a file (of all by default), as hexadecimal digits. */
export async function checksum(path: string, start = 0, bytes = Number.POSITIVE_INFINITY): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { start, end: start + bytes - 1, highWaterMark: CHUNK_BYTES }), hash);
  return hash.digest('hex');
}
