import type { Anchor } from './anchor.js';
import type { FileIo } from './file-io.js';
import type { FileStats } from './files.js';
import { type DiskRecord, readRecord } from './identity.js';
import { codeOf, messageOf, StoreError } from './store-error.js';
import type { System } from './system.js';

/** These mean that the disk is not there; after any other error (too many open files) it is looked at again. */
const GONE = new Set(['ENOENT', 'ENOTDIR', 'NOT_FOUND', 'NOT_A_DISK', 'NEWER_FORMAT']);
const ERRORS_MAX = 3;

/**
 * Looks at a disk again and again: still the same directory, still our disk.json, on a device that was not away, no
 * operation that never ends.
 */
export class Health {
  readonly #directory: string;
  readonly #record: DiskRecord;
  readonly #anchor: Anchor;
  readonly #io: FileIo;
  readonly #system: System;
  #device = 0;
  #inode = 0;
  #attachment = '';
  #errors = 0;
  #stopTimer: () => void = () => {};
  #checking: Promise<void> | null = null;

  constructor(directory: string, record: DiskRecord, anchor: Anchor, io: FileIo, system: System) {
    this.#directory = directory;
    this.#record = record;
    this.#anchor = anchor;
    this.#io = io;
    this.#system = system;
  }

  /**
   * `attachment`: of its device, as it was before anything was opened of the disk but for its record. Throws StoreError EIO
   * where something else has come in its place since.
   */
  async start(attachment: string): Promise<void> {
    const stats = await this.#io.stat(this.#anchor.fd);
    this.#device = stats.dev;
    this.#inode = stats.ino;
    this.#attachment = attachment;
    const reason = await this.#difference();
    if (reason !== null) throw new StoreError('EIO', reason);
  }

  /** Checks now and then, and calls `also` when all is well. */
  every(milliseconds: number, also: () => Promise<void>): void {
    this.#stopTimer = this.#system.time.every(milliseconds, () => {
      if (this.#io.watch.tick()) this.#io.fail('an operation did not end within 10 s');
      if (this.#checking || this.#io.failure) return;
      this.#checking = this.#check(also).finally(() => {
        this.#checking = null;
      });
    });
  }

  async stop(): Promise<void> {
    this.#stopTimer();
    // A disk that hangs is not waited for.
    if (!this.#io.failure) await this.#checking;
  }

  async #check(also: () => Promise<void>): Promise<void> {
    const ticket = this.#io.watch.begin();
    try {
      const reason = await this.#difference();
      if (reason !== null) {
        this.#io.fail(reason);
        return;
      }
      await also();
      this.#errors = 0;
    } catch (error) {
      if (GONE.has(codeOf(error)) || ++this.#errors >= ERRORS_MAX) this.#io.fail(messageOf(error));
    } finally {
      this.#io.watch.end(ticket);
    }
  }

  /** How what is at the path now is not what was opened, or null. */
  async #difference(): Promise<string | null> {
    const stats = await this.#stat();
    if (stats.dev !== this.#device || stats.ino !== this.#inode) {
      return `${this.#directory} is another directory than before`;
    }
    // What is open of it is of the mount before, and what that had not synced is gone.
    if ((await this.#system.attachment(this.#directory)) !== this.#attachment) {
      return `the device of ${this.#directory} was away`;
    }
    const record = await readRecord(this.#directory, this.#io.files);
    const { cluster, host, disk, opens } = this.#record;
    if (record.cluster !== cluster || record.host !== host || record.disk !== disk || record.opens !== opens) {
      return `${this.#directory}/disk.json is another disk's`;
    }
    return null;
  }

  #stat(): Promise<FileStats> {
    return this.#io.call<FileStats>((done) => this.#io.files.stat(this.#directory, done));
  }
}
