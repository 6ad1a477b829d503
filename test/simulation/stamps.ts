/** Contents of simulated guests' writes: each sector says which write it is of, and where it belongs. */

export const SECTOR_BYTES = 512;

/** What `length` bytes at `offset` of an image are after the write with this number; all are multiples of a sector. */
export function stampedData(write: number, offset: number, length: number): Buffer {
  const data = Buffer.alloc(length);
  const view = new DataView(data.buffer, data.byteOffset, length);
  for (let at = 0; at < length; at += SECTOR_BYTES) {
    view.setUint32(at, write, true);
    view.setUint32(at + 4, (offset + at) / SECTOR_BYTES, true);
    // Both ends, so that a sector that is torn or out of place is seen.
    view.setUint32(at + SECTOR_BYTES - 4, write, true);
  }
  return data;
}

/** The write that a sector is of, 0 for zeros; null where it is nothing that was ever written there. */
export function stampOf(data: Buffer, at: number, offset: number): number | null {
  const write = data.readUInt32LE(at);
  if (data.readUInt32LE(at + SECTOR_BYTES - 4) !== write) return null;
  if (write !== 0 && data.readUInt32LE(at + 4) !== offset / SECTOR_BYTES) return null;
  return write;
}

/** Bytes at `offset` of an image, in words: the writes that they are of, in their order. */
export function describeStamps(data: Buffer, offset: number): string {
  const runs: string[] = [];
  for (let at = 0; at < data.length; at += SECTOR_BYTES) {
    const stamp = stampOf(data, at, offset + at);
    const what = stamp === null ? 'something else' : stamp === 0 ? 'zeros' : `write ${stamp}`;
    if (runs.at(-1) !== what) runs.push(what);
  }
  return runs.join(', ');
}
