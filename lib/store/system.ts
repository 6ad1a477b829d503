import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { open as openEnvironment } from 'lmdb';
import { crypto_generichash } from 'sodium-native';
import { BINARY, type BinaryEnvironment } from '../database/environment.js';
import { attachmentOf } from './attachment.js';
import { type Files, NODE_FILES } from './files.js';
import { NODE_TIME, type Time } from './time.js';

/** Tables that an index may have. */
const TABLES_MAX = 16;

/** All that the store has from the machine it runs on, to be replaced in tests. */
export interface System {
  readonly files: Files;
  readonly time: Time;
  /** The kernel's boot id: another one, and everything that was not synced is gone. */
  bootId(): string;
  /**
   * The attachment of the device that a directory is on: another one under the same boot id, and the device was away, and
   * with it what was not synced. Empty where the kernel does not say.
   */
  attachment(directory: string): Promise<string>;
  /** Brings all of the file system of an open directory to disk (syncfs(2)). Rejects when it could not. */
  syncFilesystem(directory: number): Promise<void>;
  /** Opens, or makes, the database in a directory. */
  openEnvironment(directory: string): BinaryEnvironment;
  /** Fills `hash` with the hash (BLAKE2b) of the bytes. */
  hash(hash: Buffer, bytes: Buffer): void;
}

export const SYSTEM: System = {
  files: NODE_FILES,
  time: NODE_TIME,
  bootId: () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  attachment: attachmentOf,
  syncFilesystem: (directory) =>
    new Promise((resolve, reject) => {
      const child = spawn('sync', ['-f', '/proc/self/fd/3'], { stdio: ['ignore', 'ignore', 'pipe', directory] });
      let output = '';
      child.stderr!.on('data', (data: Buffer) => {
        output += data.toString();
      });
      child.on('error', reject);
      child.on('close', (code) => {
        if (code === 0) resolve();
        else reject(new Error(`sync -f: ${output.trim() || `exit ${code}`}`));
      });
    }),
  openEnvironment: (directory) => openEnvironment<Buffer, Buffer>({ path: directory, maxDbs: TABLES_MAX, ...BINARY }),
  hash: (hash, bytes) => crypto_generichash(hash, bytes),
};
