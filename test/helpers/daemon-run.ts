import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Assertions } from 'brittle';
import { temporaryDirectory, track, untrack } from './cleanup.js';
import { reboot } from './machine.js';
import { childrenOf, isRunning } from './proc.js';
import { Random } from './random.js';
import { type Sheep, type SheepOptions, spawnSheep, startSheep } from './sheep.js';
import { type End, StoreHistory } from './store-history.js';
import { emptyPlan, type Note, SECTORS, type WriterTask } from './store-plan.js';
import { until } from './until.js';
import type { CutMode } from './volatile-filesystem.js';
import { VolatileMount } from './volatile-mount.js';

const WRITER = fileURLToPath(new URL('./image-writer.js', import.meta.url));
/** Changes of the file system below that a daemon comes to make before it is killed. */
const CHANGES_MIN = 100;
const CHANGES_MAX = 1200;
/** About as many as a first start makes. */
const START_CHANGES_MAX = 150;
const EXIT_DEADLINE_MS = 20_000;

/** A daemon with its state and its disk on a volatile file system, and a writer on its mount. */
export class DaemonRun {
  readonly #t: Assertions;
  readonly #random: Random;
  readonly #mount: VolatileMount;
  readonly #directory: string;
  readonly #path: string;
  readonly #history = new StoreHistory(emptyPlan());
  #notesRead = 0;
  #end: End = 'killed';

  private constructor(t: Assertions, seed: number, parts: { mount: VolatileMount; directory: string; path: string }) {
    this.#t = t;
    this.#random = new Random(seed);
    this.#mount = parts.mount;
    this.#directory = parts.directory;
    this.#path = parts.path;
    writeFileSync(this.#notes, '');
  }

  static async start(t: Assertions, seed: number): Promise<DaemonRun> {
    const directory = await temporaryDirectory(t);
    const mount = await VolatileMount.start(t);
    const run = new DaemonRun(t, seed, { mount, directory, path: await mount.syncProgram(t) });
    for (const own of [run.#state, run.#disk, run.#images]) mkdirSync(own);
    // The directories are there before the daemon is.
    mount.sync();
    return run;
  }

  get #notes(): string {
    return join(this.#directory, 'notes');
  }

  get #views(): string {
    return join(this.#directory, 'views');
  }

  get #state(): string {
    return join(this.#mount.path, 'state');
  }

  get #disk(): string {
    return join(this.#mount.path, 'disk');
  }

  get #images(): string {
    return join(this.#directory, 'images');
  }

  /**
   * Starts the daemon, looks at all images, lets a writer work, and kills it all; cuts the power unless `mode` is null.
   * Throws where the daemon does not start or an image holds something else than it may.
   */
  async round(mode: CutMode | null): Promise<void> {
    if (this.#random.chance(0.3)) await this.#failedStart(mode);
    await this.#mount.goOn();
    const sheep = await startSheep(this.#t, this.#options);
    const { held } = await this.#mount.holdAfter(CHANGES_MIN + this.#random.below(CHANGES_MAX - CHANGES_MIN));
    const { writer, exited } = this.#startWriter(false);
    await Promise.race([held, exited]);
    if (writer.exitCode !== null) throw new Error(`the writer ended with exit code ${writer.exitCode}\n${sheep.log()}`);
    await this.#kill(sheep, mode, () => {
      writer.kill('SIGKILL');
      return exited;
    });
    this.#readNotes();
    if (mode !== null) this.#end = 'cut';
  }

  /** A start that does not come to its end, perhaps. */
  async #failedStart(mode: CutMode | null): Promise<void> {
    const { held } = await this.#mount.holdAfter(1 + this.#random.below(START_CHANGES_MAX));
    const sheep = await spawnSheep(this.#t, this.#options);
    await Promise.race([held, sheep.waitReady()]);
    await this.#kill(sheep, mode, async () => {});
    if (mode !== null) this.#end = 'cut';
  }

  /** Kills the supervisor, the worker and whatever `killMore` kills, and cuts the power unless `mode` is null. */
  async #kill(sheep: Sheep, mode: CutMode | null, killMore: () => Promise<unknown>): Promise<void> {
    const children = childrenOf(sheep.pid);
    // All of the daemon is one group.
    process.kill(-sheep.pid, 'SIGKILL');
    const others = killMore();
    if (mode === null) {
      await this.#mount.goOn();
    } else {
      await this.#mount.cut(this.#random.below(2 ** 31), mode);
      reboot();
    }
    await Promise.all([others, sheep.ended]);
    await until('the end of the worker', () => !children.some(isRunning), EXIT_DEADLINE_MS);
    sheep.destroy();
    if (mode !== null) await this.#mount.remount();
  }

  /** Starts the daemon once more, looks at all images, and ends it in order. */
  async finish(): Promise<void> {
    await this.#mount.goOn();
    const sheep = await startSheep(this.#t, this.#options);
    const { writer, exited } = this.#startWriter(true);
    await exited;
    if (writer.exitCode !== 0) throw new Error(`the last writer ended with ${writer.exitCode ?? writer.signalCode}`);
    this.#readNotes();
    const { status } = await sheep.stop();
    if (status !== 0) throw new Error(`the daemon ended with exit code ${status}\n${sheep.log()}`);
  }

  /** What the run has done so far, in words. */
  get summary(): string {
    const { answeredChanges, answeredFlushes, checks } = this.#history;
    return `${answeredChanges} writes, ${answeredFlushes} flushes, ${checks} comparisons`;
  }

  get #options(): SheepOptions {
    return {
      mount: this.#images,
      state: this.#state,
      disks: [this.#disk],
      env: { PATH: `${this.#path}:${process.env.PATH}` },
    };
  }

  #startWriter(finish: boolean) {
    const { plan, next } = this.#history;
    const task: WriterTask = {
      seed: this.#random.below(2 ** 31),
      first: next,
      disks: [this.#images],
      notes: this.#notes,
      views: this.#views,
      plan,
      finish,
    };
    const file = join(this.#directory, 'task');
    writeFileSync(file, JSON.stringify(task));
    const writer = fork(WRITER, [file], { detached: true });
    if (writer.pid !== undefined) track(writer.pid);
    const exited = once(writer, 'exit').then(() => untrack(writer.pid!));
    return { writer, exited };
  }

  #readNotes(): void {
    const lines = readFileSync(this.#notes, 'utf8').split('\n').slice(0, -1);
    for (const line of lines.slice(this.#notesRead)) {
      const note = JSON.parse(line) as Note;
      if (note.kind === 'wrong') throw new Error(note.what);
      if (note.kind === 'views') this.#check();
      this.#history.add(note);
    }
    this.#notesRead = lines.length;
  }

  #check(): void {
    const bytes = readFileSync(this.#views);
    const all = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const views = new Map(
      this.#history.plan.images.map(({ id }, at) => [id, all.subarray(at * SECTORS, (at + 1) * SECTORS)]),
    );
    const wrong = this.#history.check(this.#end, views);
    if (wrong.length > 0) throw new Error(`after it was ${this.#end}: ${wrong.join('; ')}`);
    this.#end = 'killed';
  }
}
