import type { KeyValue } from './coordination.js';

/** A stored record: createRevision, modRevision and version as big-endian 64-bit numbers, then the value. */
const HEADER_BYTES = 24;

export function encodeRecord(keyValue: KeyValue): Buffer {
  const record = Buffer.allocUnsafe(HEADER_BYTES + keyValue.value.byteLength);
  record.writeBigUInt64BE(BigInt(keyValue.createRevision), 0);
  record.writeBigUInt64BE(BigInt(keyValue.modRevision), 8);
  record.writeBigUInt64BE(BigInt(keyValue.version), 16);
  record.set(keyValue.value, HEADER_BYTES);
  return record;
}

/** Copies what it keeps, as `record` may lie in the database's own memory. */
export function decodeRecord(key: string, record: Buffer): KeyValue {
  return {
    key,
    value: Uint8Array.prototype.slice.call(record, HEADER_BYTES),
    createRevision: Number(record.readBigUInt64BE(0)),
    modRevision: Number(record.readBigUInt64BE(8)),
    version: Number(record.readBigUInt64BE(16)),
  };
}
