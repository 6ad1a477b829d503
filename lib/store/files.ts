import fs from 'node:fs';
import { trim, tryLock } from 'fs-native-extensions';

export type Done<T> = (error: NodeJS.ErrnoException | null, result?: T) => void;

/** What the store looks at of `fs.Stats`. */
export interface FileStats {
  readonly size: number;
  /** In units of STAT_BLOCK_BYTES. */
  readonly blocks: number;
  readonly dev: number;
  readonly ino: number;
}

/** What the store looks at of `fs.StatsFs`. */
export interface FilesystemStats {
  readonly bsize: number;
  readonly blocks: number;
  readonly bavail: number;
}

/** What the store looks at of `fs.Dirent`. */
export interface DirectoryEntry {
  readonly name: string;
  isFile(): boolean;
  isDirectory(): boolean;
}

type Ended = (error: NodeJS.ErrnoException | null) => void;
type Counted = (error: NodeJS.ErrnoException | null, bytes: number) => void;

/** The store's way to files: those functions of `node:fs` that it uses, meaning what they mean there. */
export interface Files {
  open(path: string, flags: number, mode: number, done: Done<number>): void;
  close(fd: number, done: Ended): void;
  read(fd: number, target: Buffer, offset: number, length: number, position: number, done: Counted): void;
  write(fd: number, source: Buffer, offset: number, length: number, position: number, done: Counted): void;
  fstat(fd: number, done: Done<FileStats>): void;
  ftruncate(fd: number, length: number, done: Ended): void;
  fdatasync(fd: number, done: Ended): void;
  fsync(fd: number, done: Ended): void;
  stat(path: string, done: Done<FileStats>): void;
  statfs(path: string, done: Done<FilesystemStats>): void;
  readdir(path: string, options: { withFileTypes: true }, done: Done<DirectoryEntry[]>): void;
  mkdir(path: string, mode: number, done: Ended): void;
  unlink(path: string, done: Ended): void;
  rename(source: string, target: string, done: Ended): void;
  rm(path: string, options: { recursive: boolean; force: boolean }, done: Ended): void;
  copyFile(source: string, target: string, mode: number, done: Ended): void;
  closeSync(fd: number): void;
  writeSync(fd: number, source: Buffer, offset: number, length: number, position: number): number;
  fstatSync(fd: number): FileStats;
  statfsSync(path: string): FilesystemStats;
  /** Punches a hole, keeping the length. */
  trim(fd: number, offset: number, length: number): Promise<void>;
  /** Tries to take the lock of an open file, which ends with the descriptor. False when another holds it. */
  tryLock(fd: number): boolean;
}

/** Node's own functions, called with nothing in between. */
export const NODE_FILES: Files = {
  open: fs.open,
  close: fs.close,
  read: fs.read,
  write: fs.write,
  fstat: fs.fstat,
  ftruncate: fs.ftruncate,
  fdatasync: fs.fdatasync,
  fsync: fs.fsync,
  stat: fs.stat,
  statfs: fs.statfs,
  readdir: fs.readdir,
  mkdir: fs.mkdir,
  unlink: fs.unlink,
  rename: fs.rename,
  rm: fs.rm,
  copyFile: fs.copyFile,
  closeSync: fs.closeSync,
  writeSync: fs.writeSync,
  fstatSync: fs.fstatSync,
  statfsSync: fs.statfsSync,
  trim,
  tryLock,
};

/** The promise of a call that ends in a callback; for what is done seldom, outside a disk's share of the pool. */
export function promised<T = void>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, result) => {
      if (error) reject(error);
      else resolve(result!);
    });
  });
}

/** Lends `use` a descriptor. */
export async function withFile<T>(
  files: Files,
  path: string,
  flags: number,
  use: (fd: number) => Promise<T>,
): Promise<T> {
  const fd = await promised<number>((done) => files.open(path, flags, 0o600, done));
  try {
    return await use(fd);
  } finally {
    await promised((done) => files.close(fd, done));
  }
}

/** All of a small file. */
export function readWhole(files: Files, path: string): Promise<Buffer> {
  return withFile(files, path, fs.constants.O_RDONLY, async (fd) => {
    const { size } = await promised<FileStats>((done) => files.fstat(fd, done));
    const content = Buffer.alloc(size);
    let filled = 0;
    while (filled < size) {
      const bytes = await promised<number>((done) => files.read(fd, content, filled, size - filled, filled, done));
      if (bytes === 0) break;
      filled += bytes;
    }
    return content.subarray(0, filled);
  });
}

/** Writes all of `content` to the start of an open file. */
export async function writeWhole(files: Files, fd: number, content: Buffer): Promise<void> {
  let written = 0;
  while (written < content.length) {
    const rest = content.length - written;
    written += await promised<number>((done) => files.write(fd, content, written, rest, written, done));
  }
}

/** Makes the names in a directory durable. */
export function syncDirectory(files: Files, path: string): Promise<void> {
  return withFile(files, path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY, (fd) =>
    promised((done) => files.fsync(fd, done)),
  );
}
