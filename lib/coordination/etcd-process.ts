import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DATA_NAME, type EtcdMemberOptions, etcdArguments, JOINED_NAME, SOCKET_NAME } from './etcd-arguments.js';
import { ETCD_BINARY, etcdEnvironment, etcdVersion } from './etcd-binary.js';
import { endProcess } from './etcd-end.js';
import { trimLog } from './etcd-log.js';
import {
  commandLineOf,
  findEtcd,
  isRunning,
  processOf,
  type RunningProcess,
  removeRecord,
  writeRecord,
} from './etcd-running.js';

const LOG_NAME = 'log';
/** Between two looks whether it runs. */
const LOOK_INTERVAL_MS = 500;
/** Before the next start, doubled with each that does not last. */
const RESTART_MS_MIN = 500;
const RESTART_MS_MAX = 30_000;
/** After which a start has lasted. */
const LASTED_MS = 60_000;
/** What only a member that starts without data looks at. */
const FIRST_START_FLAGS = ['--initial-cluster=', '--initial-cluster-state=', '--initial-advertise-peer-urls='];
const LOG_SHOWN_BYTES = 500;

export interface EtcdProcessOptions {
  /** Where it runs: data, socket, log. Made if absent. */
  directory: string;
  member: EtcdMemberOptions;
  /** Hears, in a line, when it had to be started again, and of what cannot be done. */
  say(message: string): void;
  binary?: string;
}

/**
 * One member of etcd on this host. It is a process of its own that goes on when this one dies, however that happens;
 * whoever opens it next finds it and looks after it from then on. One that has died is started again.
 */
export class EtcdProcess {
  readonly #options: EtcdProcessOptions;
  readonly #directory: string;
  readonly #closing = new AbortController();
  #running: RunningProcess | null = null;
  #watching: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | null = null;

  private constructor(options: EtcdProcessOptions) {
    this.#options = options;
    this.#directory = resolve(options.directory);
  }

  /**
   * Takes over the one that runs, or starts one. It may be a while until that answers: until it has a leader.
   *
   * Throws EtcdError NOT_INSTALLED.
   */
  static async open(options: EtcdProcessOptions): Promise<EtcdProcess> {
    await etcdVersion(options.binary);
    const process = new EtcdProcess(options);
    await mkdir(process.#directory, { recursive: true, mode: 0o700 });
    await process.#adopt();
    if (process.#running === null) await process.#start();
    process.#watching = process.#watch();
    return process;
  }

  /** Where the own host reaches it, without TLS: as an endpoint of `openEtcd`. */
  get socketUrl(): string {
    return socketUrlIn(this.#directory);
  }

  /** Null while it does not run. */
  get pid(): number | null {
    return this.#running?.pid ?? null;
  }

  /** Looks after it no longer, and leaves it running. */
  async release(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
  }

  /** Ends it. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    await this.release();
    if (this.#running) await endProcess(this.#running);
    this.#running = null;
    await removeRecord(this.#directory);
  }

  async #adopt(): Promise<void> {
    const found = await findEtcd(this.#directory);
    if (found === null) return;
    if (await this.#isAsWanted(found)) {
      this.#running = found;
      await writeRecord(this.#directory, found);
      return;
    }
    this.#options.say('etcd runs with other options than it should: it is started again');
    await endProcess(found);
  }

  async #isAsWanted(found: RunningProcess): Promise<boolean> {
    const relevant = (flags: string[]) =>
      flags.filter((flag) => !FIRST_START_FLAGS.some((one) => flag.startsWith(one)));
    const line = await commandLineOf(found);
    const wanted = relevant(etcdArguments(this.#options.member));
    return line !== null && relevant(line.slice(1)).join('\0') === wanted.join('\0');
  }

  async #start(): Promise<void> {
    // Left behind by one that was killed; etcd would find its address in use.
    await rm(join(this.#directory, SOCKET_NAME), { force: true });
    const log = await open(join(this.#directory, LOG_NAME), 'a', 0o600);
    try {
      const child = spawn(this.#options.binary ?? ETCD_BINARY, etcdArguments(this.#options.member), {
        cwd: this.#directory,
        env: etcdEnvironment(),
        stdio: ['ignore', log.fd, log.fd],
        detached: true,
      });
      await once(child, 'spawn');
      child.unref();
      this.#running = await processOf(child.pid!);
    } finally {
      await log.close();
    }
    if (this.#running) await writeRecord(this.#directory, this.#running);
  }

  /** Never rejects. */
  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    let restartMs = RESTART_MS_MIN;
    let startedAtMs = performance.now();
    for (;;) {
      await pause(LOOK_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await trimLog(join(this.#directory, LOG_NAME));
        if (this.#running && (await isRunning(this.#running))) continue;
        this.#running = null;
        if (performance.now() - startedAtMs > LASTED_MS) restartMs = RESTART_MS_MIN;
        this.#options.say(`etcd has ended; it is started again in ${restartMs} ms. ${await this.#lastWords()}`);
        await pause(restartMs, undefined, { signal });
        restartMs = Math.min(2 * restartMs, RESTART_MS_MAX);
        startedAtMs = performance.now();
        await this.#start();
      } catch (error) {
        if (!signal.aborted) this.#options.say(`etcd cannot be looked after: ${(error as Error).message}`);
      }
    }
  }

  async #lastWords(): Promise<string> {
    const log = await readFile(join(this.#directory, LOG_NAME), 'utf8');
    return `Its log ends with: ${log.trimEnd().slice(-LOG_SHOWN_BYTES)}`;
  }
}

/** Where the own host reaches the member that runs in this directory. */
export function socketUrlIn(directory: string): string {
  return `unix:${join(resolve(directory), SOCKET_NAME)}`;
}

/**
 * Ends the etcd that runs in this directory, if one does, and deletes all that it has stored. What was deleted half way
 * is deleted by the next call. Throws EtcdError NOT_ENDED.
 */
export async function wipeEtcd(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  const found = await findEtcd(directory);
  if (found) await endProcess(found);
  // First: what is left must not be taken for a member's whole data.
  await rm(join(directory, JOINED_NAME), { force: true });
  await rm(join(directory, DATA_NAME), { recursive: true, force: true });
  await removeRecord(directory);
}
