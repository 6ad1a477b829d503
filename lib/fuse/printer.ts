import { ERRNO } from './errno.js';
import { IN_HEADER_BYTES, UNIQUE_RESEND } from './protocol.js';
import { Body, kindOf, type RequestHeader } from './requests.js';

/** Lines for people to read: one for each request and one for each reply. */

const NAME_BY_ERRNO = new Map(Object.entries(ERRNO).map(([name, number]) => [number, name]));

function printValue(value: unknown): string {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value !== null && typeof value === 'object') return `{${printFields(value)}}`;
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function printFields(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${printValue(value)}`)
    .join(' ');
}

function printUnique(unique: bigint): string {
  return unique & UNIQUE_RESEND ? `#${unique & ~UNIQUE_RESEND} (sent again)` : `#${unique}`;
}

/** One request as a line; what cannot be decoded is said, not thrown. */
export function printRequest(header: RequestHeader, buffer: Buffer, length: number): string {
  const kind = kindOf(header.opcode);
  let fields = '';
  try {
    if (kind) fields = printFields(kind.decode(new Body(buffer, IN_HEADER_BYTES, length)));
  } catch (error) {
    fields = `(${(error as Error).message})`;
  }
  const name = kind?.name ?? `opcode ${header.opcode}`;
  return `-> ${printUnique(header.unique)} ${name} node=${header.node} pid=${header.pid} ${fields}`.trimEnd();
}

/** One reply as a line: its errno (positive, 0 for none) and the bytes behind the header. */
export function printReply(unique: bigint, errno: number, bytes: number): string {
  const outcome = errno === 0 ? `ok ${bytes} bytes` : (NAME_BY_ERRNO.get(errno) ?? `errno ${errno}`);
  return `<- ${printUnique(unique)} ${outcome}`;
}
