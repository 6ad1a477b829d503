import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Assertions } from 'brittle';
import { Disk } from '../../lib/store/index.js';
import { temporaryDirectory, track, untrack } from './cleanup.js';
import { IDENTITY } from './disks.js';
import { reboot } from './machine.js';
import { Random } from './random.js';
import { type End, StoreHistory } from './store-history.js';
import { emptyPlan, type Note, SECTORS, type WriterTask } from './store-plan.js';
import type { CutMode } from './volatile-filesystem.js';
import { VolatileMount } from './volatile-mount.js';

const WRITER = fileURLToPath(new URL('./store-writer.js', import.meta.url));
/** Changes of the file system that a writer comes to make before it is killed, at most. */
const CHANGES_MAX = 1200;

/** Two disks on a volatile file system, and one writer after another on them. */
export class StoreRun {
  readonly #random: Random;
  readonly #mount: VolatileMount;
  readonly #directory: string;
  readonly #history = new StoreHistory(emptyPlan());
  readonly #path: string;
  #notesRead = 0;
  #writers = 0;
  /** How the writers ended that came after the last look at the images. */
  #end: End = 'killed';

  private constructor(seed: number, mount: VolatileMount, directory: string, path: string) {
    this.#random = new Random(seed);
    this.#mount = mount;
    this.#directory = directory;
    this.#path = path;
    writeFileSync(this.#notes, '');
  }

  /** With two new disks. */
  static async start(t: Assertions, seed: number): Promise<StoreRun> {
    const directory = await temporaryDirectory(t);
    const mount = await VolatileMount.start(t);
    const run = new StoreRun(seed, mount, directory, await mount.syncProgram(t));
    for (const disk of run.#disks) mkdirSync(disk);
    // The directories are there before they are disks.
    mount.sync();
    for (const [at, disk] of run.#disks.entries()) await Disk.format(disk, { ...IDENTITY, disk: at + 1 });
    return run;
  }

  get #notes(): string {
    return join(this.#directory, 'notes');
  }

  get #disks(): string[] {
    return [1, 2].map((number) => join(this.#mount.path, `disk-${number}`));
  }

  /**
   * Lets a writer work until it is killed, and cuts the power unless `mode` is null. Throws where a disk does not open
   * or holds something else than it may.
   */
  async round(mode: CutMode | null): Promise<void> {
    const { held } = await this.#mount.holdAfter(1 + this.#random.below(CHANGES_MAX));
    const { writer, exited } = this.#startWriter(false);
    await Promise.race([held, exited]);
    if (writer.exitCode !== null) this.#fail(`the writer ended by itself with exit code ${writer.exitCode}`);
    writer.kill('SIGKILL');
    if (mode === null) {
      await this.#mount.goOn();
    } else {
      await this.#mount.cut(this.#random.below(2 ** 31), mode);
      reboot();
    }
    await exited;
    this.#readNotes();
    if (mode !== null) {
      await this.#mount.remount();
      this.#end = 'cut';
    }
  }

  /** Lets a writer look at everything, wait until nothing is left behind, and close the disks. */
  async finish(): Promise<void> {
    await this.#mount.goOn();
    const { writer, exited } = this.#startWriter(true);
    await exited;
    if (writer.exitCode !== 0) this.#fail(`the last writer ended with ${writer.exitCode ?? writer.signalCode}`);
    this.#readNotes();
  }

  /** What the run has done so far, in words. */
  get summary(): string {
    const { answeredChanges, answeredFlushes, checks } = this.#history;
    return `${answeredChanges} changes, ${answeredFlushes} flushes, ${checks} comparisons`;
  }

  #startWriter(finish: boolean): { writer: ChildProcess; exited: Promise<unknown> } {
    const { plan, next } = this.#history;
    const task: WriterTask = {
      seed: this.#random.below(2 ** 31),
      first: next,
      disks: this.#disks,
      notes: this.#notes,
      views: this.#views(++this.#writers),
      plan,
      finish,
    };
    const file = join(this.#directory, 'task');
    writeFileSync(file, JSON.stringify(task));
    const writer = fork(WRITER, [file], {
      detached: true,
      env: { ...process.env, PATH: `${this.#path}:${process.env.PATH}`, UV_USE_IO_URING: '1', UV_THREADPOOL_SIZE: '8' },
    });
    if (writer.pid !== undefined) track(writer.pid);
    const exited = once(writer, 'exit').then(() => untrack(writer.pid!));
    return { writer, exited };
  }

  #views(writer: number): string {
    return join(this.#directory, `views-${writer}`);
  }

  #readNotes(): void {
    const lines = readFileSync(this.#notes, 'utf8').split('\n').slice(0, -1);
    for (const line of lines.slice(this.#notesRead)) {
      const note = JSON.parse(line) as Note;
      if (note.kind === 'wrong') this.#fail(note.what);
      if (note.kind === 'views') this.#check();
      this.#history.add(note);
    }
    this.#notesRead = lines.length;
  }

  #check(): void {
    const bytes = readFileSync(this.#views(this.#writers));
    const all = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const views = new Map(
      this.#history.plan.images.map(({ id }, at) => [id, all.subarray(at * SECTORS, (at + 1) * SECTORS)]),
    );
    const wrong = this.#history.check(this.#end, views);
    if (wrong.length > 0) this.#fail(wrong.join('; '));
    this.#end = 'killed';
  }

  #fail(what: string): never {
    throw new Error(`writer ${this.#writers}, after it was ${this.#end}: ${what}`);
  }
}
