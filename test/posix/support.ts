/** What the checks share: names that go away again, open files that get closed, bytes that can be told apart. */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Assertions } from 'brittle';
import { syscalls } from '../helpers/syscalls.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;
/** An image is cut here, so that is where mistakes are. */
export const OBJECT_BYTES = 4 * MIB;

let serial = 0;

/** A path in the directory that nothing has yet; what is there in the end is removed. */
export function newPath(t: Assertions, directory: string, label = 'file'): string {
  serial++;
  return claimPath(t, directory, `${label}-${process.pid}-${serial}`);
}

/** A path of this name; what is there in the end is removed. */
export function claimPath(t: Assertions, directory: string, name: string): string {
  const path = join(directory, name);
  t.teardown(() => rm(path, { force: true, recursive: true }), { force: true });
  return path;
}

/** Opens, and closes in the end unless that was done. */
export async function openFile(t: Assertions, path: string, flags: string | number, mode?: number) {
  const file = await open(path, flags, mode);
  t.teardown(() => file.close(), { force: true });
  return file;
}

/** A new file, open for reading and writing. */
export async function newFile(t: Assertions, directory: string, label?: string) {
  const path = newPath(t, directory, label);
  return { path, file: await openFile(t, path, 'wx+') };
}

/** Opens in the process that carries out system calls; closed in the end. Answers the descriptor there. */
export async function openElsewhere(t: Assertions, path: string, flags: number): Promise<number> {
  const fd = await syscalls().call('open', { path, flags });
  t.teardown(() => syscalls().call('close', { fd }), { force: true });
  return fd;
}

/** Asserts that it fails with one of these errnos. */
export async function refused(
  t: Assertions,
  operation: Promise<unknown>,
  codes: string | readonly string[],
  message: string,
): Promise<void> {
  const expected = typeof codes === 'string' ? [codes] : codes;
  const code = await operation.then(
    () => 'no error',
    // libuv has its own name for EOPNOTSUPP.
    ({ code, message }: NodeJS.ErrnoException) => (code === 'ENOTSUP' ? 'EOPNOTSUPP' : (code ?? message)),
  );
  t.ok(
    expected.includes(code),
    `${message}: ${expected.join(' or ')}${expected.includes(code) ? '' : `, not ${code}`}`,
  );
}

/** Bytes that differ by position and seed and hold no zero. */
export function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = 1 + ((state >>> 24) % 255);
  }
  return bytes;
}

/** Reads up to `length` bytes, fewer only at the end of the file. */
export async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let count = 0;
  while (count < length) {
    const { bytesRead } = await file.read(buffer, count, length - count, offset + count);
    if (bytesRead === 0) break;
    count += bytesRead;
  }
  return buffer.subarray(0, count);
}

export async function writeAt(file: FileHandle, offset: number, data: Uint8Array): Promise<void> {
  let count = 0;
  while (count < data.length) {
    const { bytesWritten } = await file.write(data, count, data.length - count, offset + count);
    count += bytesWritten;
  }
}

/** Asserts equality without printing megabytes: the first differing position instead. */
export function sameBytes(t: Assertions, actual: Uint8Array, expected: Uint8Array, message: string): void {
  if (Buffer.compare(actual, expected) === 0) {
    t.pass(message);
    return;
  }
  const length = Math.min(actual.length, expected.length);
  let at = 0;
  while (at < length && actual[at] === expected[at]) at++;
  t.fail(
    `${message}: ${actual.length} of ${expected.length} bytes, differs at ${at}: ${actual[at]} for ${expected[at]}`,
  );
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
