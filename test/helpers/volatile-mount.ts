import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Assertions } from 'brittle';
import { temporaryDirectory, track, trackMount, unmount } from './cleanup.js';
import { type CutMode, SYNC_NAME } from './volatile-filesystem.js';
import type { ServerReply, ServerRequest } from './volatile-server.js';

const SERVER = fileURLToPath(new URL('./volatile-server.js', import.meta.url));

/** A mounted file system that loses in a power cut what was not synced. One call at a time. */
export class VolatileMount {
  readonly path: string;
  readonly #server: ChildProcess;
  #answer: { resolve: (reply: ServerReply) => void; reject: (error: Error) => void } | null = null;
  #held: (() => void) | null = null;

  private constructor(path: string, capacity: number) {
    this.path = path;
    this.#server = fork(SERVER, [path], {
      detached: true,
      env: { ...process.env, UV_THREADPOOL_SIZE: '8', CAPACITY: String(capacity) },
    });
    if (this.#server.pid !== undefined) track(this.#server.pid);
    this.#server.on('message', (reply: ServerReply) => {
      if (reply.kind === 'held') this.#held?.();
      else this.#answer?.resolve(reply);
    });
    this.#server.on('exit', () => this.#answer?.reject(new Error('the volatile file system ended')));
  }

  /** Mounts an empty one of this many bytes. */
  static async start(t: Assertions, capacity = 1024 ** 3): Promise<VolatileMount> {
    const path = await temporaryDirectory(t);
    trackMount(path);
    const mount = new VolatileMount(path, capacity);
    t.teardown(() => mount.#stop(), { order: 500, force: true });
    await mount.#replied();
    return mount;
  }

  /**
   * Resolves when so many more changes have come that the next one is held back: its caller, and every later one,
   * waits for `goOn` or for the power cut.
   */
  async holdAfter(changes: number): Promise<{ held: Promise<void> }> {
    const held = new Promise<void>((resolve) => {
      this.#held = resolve;
    });
    await this.#ask({ kind: 'arm', after: changes });
    // In an object: awaiting this call must not wait for it.
    return { held };
  }

  /** Everything written so far is durable. */
  sync(): void {
    // There is no such name; that it is looked up is enough.
    existsSync(join(this.path, SYNC_NAME));
  }

  /** Answers a directory with a program `sync` for these file systems, to be first in somebody's PATH. */
  async syncProgram(t: Assertions): Promise<string> {
    const directory = await temporaryDirectory(t);
    writeFileSync(join(directory, 'sync'), `#!/bin/sh\ntest -e "$2/${SYNC_NAME}" || exit 0\n`, { mode: 0o755 });
    return directory;
  }

  /** Lets every change through again. */
  async goOn(): Promise<void> {
    await this.#ask({ kind: 'go-on' });
  }

  /** What happens from here on is lost, and fails. */
  async cut(seed: number, mode: CutMode): Promise<void> {
    await this.#ask({ kind: 'cut', seed, mode });
  }

  /** Mounts what the power cut left. Whoever used the mount must have ended. */
  async remount(): Promise<void> {
    await this.#ask({ kind: 'remount' });
  }

  async #stop(): Promise<void> {
    if (this.#server.exitCode === null && this.#server.signalCode === null) {
      const exited = once(this.#server, 'exit');
      this.#server.send({ kind: 'stop' } satisfies ServerRequest);
      await exited;
    }
    unmount(this.path);
  }

  #ask(request: ServerRequest): Promise<ServerReply> {
    const replied = this.#replied();
    this.#server.send(request);
    return replied;
  }

  #replied(): Promise<ServerReply> {
    return new Promise((resolve, reject) => {
      this.#answer = { resolve, reject };
    });
  }
}
