import { constants } from 'node:fs';
import { join } from 'node:path';
import { type Files, promised } from './files.js';
import { checkIdentity, type DiskRecord, type ExpectedDisk, readRecord, rewriteRecord } from './identity.js';
import { codeOf, messageOf, StoreError } from './store-error.js';

/**
 * Takes the disk for this process: answers a descriptor whose closing gives it back. Looks at disk.json first, so that
 * nothing is written to a directory that is none of ours. Throws as Disk.open.
 */
export async function lockDirectory(directory: string, expected: ExpectedDisk, files: Files): Promise<number> {
  checkIdentity(directory, await readRecord(directory, files), expected);
  let descriptor: number;
  try {
    const flags = constants.O_RDWR | constants.O_CREAT;
    descriptor = await promised<number>((done) => files.open(join(directory, 'lock'), flags, 0o600, done));
  } catch (error) {
    throw unwritable(directory, error);
  }
  try {
    if (files.tryLock(descriptor)) return descriptor;
  } catch (error) {
    files.closeSync(descriptor);
    throw new StoreError('EIO', `${directory} cannot be locked: ${messageOf(error)}`, error);
  }
  files.closeSync(descriptor);
  throw new StoreError('LOCKED', `${directory} is in use by another sheep: stop it first`);
}

/** Raises the open counter of a locked disk, durably; answers its record. */
export async function openRecord(directory: string, expected: ExpectedDisk, files: Files): Promise<DiskRecord> {
  const record = await readRecord(directory, files);
  checkIdentity(directory, record, expected);
  const raised = { ...record, opens: record.opens + 1 };
  try {
    await rewriteRecord(directory, raised, files);
  } catch (error) {
    throw unwritable(directory, error);
  }
  return raised;
}

function unwritable(directory: string, error: unknown): StoreError {
  if (codeOf(error) === 'EROFS') {
    return new StoreError(
      'READ_ONLY',
      `${directory} is on a read-only file system: check the device, then remount it writable`,
      error,
    );
  }
  if (codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT') {
    return new StoreError(
      'ENOSPC',
      `${directory} has no space left at all: remove what is not sheepdog's from it`,
      error,
    );
  }
  return new StoreError('EIO', `${directory} cannot be written: ${messageOf(error)}`, error);
}
