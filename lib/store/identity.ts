import { constants } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FIELD_MAX, FORMAT_VERSION } from './constants.js';
import {
  type FileStats,
  type Files,
  NODE_FILES,
  promised,
  readWhole,
  syncDirectory,
  withFile,
  writeWhole,
} from './files.js';
import { codeOf, messageOf, StoreError } from './store-error.js';

/** Whose disk it is. */
export interface DiskIdentity {
  cluster: string;
  host: string;
  /** The disk's number, unique in the cluster and never used again. */
  disk: number;
}

const RECORD = z.object({
  format: z.number().int().min(1),
  cluster: z.string().min(1),
  host: z.string().min(1),
  disk: z.number().int().min(0).max(FIELD_MAX),
  /** Raised by each open: a disk that shows a lower one than it showed before is an old image of itself. */
  opens: z.number().int().min(0),
});

export type DiskRecord = z.infer<typeof RECORD>;

const NAME = 'disk.json';
/** It fills one sector, so that it can be changed in place; a longer one is replaced. */
const RECORD_BYTES = 512;

/** Reads disk.json. Throws StoreError NOT_FOUND, NOT_A_DISK, NEWER_FORMAT. */
export async function readRecord(directory: string, files: Files = NODE_FILES): Promise<DiskRecord> {
  let text: string;
  try {
    text = (await readWhole(files, join(directory, NAME))).toString();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') throw await absent(directory, files);
    throw new StoreError('EIO', `${directory}: ${NAME} cannot be read: ${messageOf(error)}`, error);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new StoreError('NOT_A_DISK', `${directory}: ${NAME} is damaged: ${messageOf(error)}`, error);
  }
  const format = (json as { format?: unknown } | null)?.format;
  if (typeof format === 'number' && format > FORMAT_VERSION) {
    throw new StoreError(
      'NEWER_FORMAT',
      `${directory} has format ${format}, this version knows ${FORMAT_VERSION}: upgrade sheepdog on this host`,
    );
  }
  const record = RECORD.safeParse(json);
  if (!record.success) {
    const issue = record.error.issues[0];
    throw new StoreError('NOT_A_DISK', `${directory}: ${NAME} is damaged: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  return record.data;
}

async function absent(directory: string, files: Files): Promise<StoreError> {
  try {
    await promised<FileStats>((done) => files.stat(directory, done));
  } catch {
    return new StoreError('NOT_FOUND', `${directory} does not exist: create it, or mount the disk there`);
  }
  return new StoreError(
    'NOT_A_DISK',
    `${directory} has no ${NAME}: mount the disk there, or add the directory as a new disk`,
  );
}

/** What a disk must be to be opened. */
export interface ExpectedDisk extends Partial<DiskIdentity> {
  /** How often it was opened before, as its host remembers: a disk that shows less was put back to an earlier state. */
  opens?: number;
}

/** Throws StoreError OTHER_CLUSTER, OTHER_HOST, OTHER_DISK or OLD_IMAGE where the record is not what was expected. */
export function checkIdentity(directory: string, record: DiskRecord, expected: ExpectedDisk): void {
  if (expected.cluster !== undefined && record.cluster !== expected.cluster) {
    throw new StoreError(
      'OTHER_CLUSTER',
      `${directory} belongs to cluster ${record.cluster}, not ${expected.cluster}: give another directory, or empty it`,
    );
  }
  if (expected.host !== undefined && record.host !== expected.host) {
    throw new StoreError(
      'OTHER_HOST',
      `${directory} belongs to host ${record.host}, not ${expected.host}: give it back, or empty it to add it here`,
    );
  }
  if (expected.disk !== undefined && record.disk !== expected.disk) {
    throw new StoreError(
      'OTHER_DISK',
      `${directory} holds disk ${record.disk}, not ${expected.disk}: check which disk is mounted where`,
    );
  }
  if (expected.opens !== undefined && record.opens < expected.opens) {
    throw new StoreError(
      'OLD_IMAGE',
      `${directory} was put back to an earlier state of disk ${record.disk} and lacks what was written since: ` +
        `remove disk ${record.disk}, empty the directory and add it as a new disk`,
    );
  }
}

/** Makes disk.json, durably. */
export async function writeRecord(directory: string, record: DiskRecord, files: Files): Promise<void> {
  const path = join(directory, NAME);
  const temporary = `${path}.new`;
  await withFile(files, temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, async (fd) => {
    await writeWhole(files, fd, encodeRecord(record));
    await promised((done) => files.fsync(fd, done));
  });
  await promised((done) => files.rename(temporary, path, done));
  await syncDirectory(files, directory);
}

/** Changes disk.json where it is, durably, which needs no space on the disk. */
export async function rewriteRecord(directory: string, record: DiskRecord, files: Files): Promise<void> {
  const bytes = encodeRecord(record);
  const done = await withFile(files, join(directory, NAME), constants.O_RDWR | constants.O_DSYNC, async (fd) => {
    const { size } = await promised<FileStats>((answer) => files.fstat(fd, answer));
    // One sector is written whole or not at all, and nothing else is that safe.
    if (size !== RECORD_BYTES || bytes.length !== RECORD_BYTES) return false;
    await writeWhole(files, fd, bytes);
    return true;
  });
  if (!done) await writeRecord(directory, record, files);
}

function encodeRecord(record: DiskRecord): Buffer {
  return Buffer.from(`${JSON.stringify(record, null, 2).padEnd(RECORD_BYTES - 1)}\n`);
}
