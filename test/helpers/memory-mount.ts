import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMounted, track, trackMount, unmount } from './cleanup.js';
import { until } from './until.js';

const SERVER = fileURLToPath(new URL('./memory-server.js', import.meta.url));

/** A file system in memory, served by a process of its own, so that a test may also use calls that block. */
export class MemoryMount {
  readonly path: string;
  readonly #child: ChildProcess;
  #output = '';

  private constructor(backend: 'kernel' | 'native', path: string) {
    this.path = path;
    trackMount(path);
    this.#child = spawn(process.execPath, [SERVER, backend, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    if (this.#child.pid !== undefined) track(this.#child.pid);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  static async start(backend: 'kernel' | 'native'): Promise<MemoryMount> {
    const mount = new MemoryMount(backend, mkdtempSync(join(tmpdir(), `sheep-${backend}-`)));
    await until('a mount', () => mount.#output.includes('ready') || mount.ended);
    if (mount.ended) throw new Error(`the server ended with exit code ${mount.status}`);
    return mount;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get status(): number | null {
    return this.#child.exitCode;
  }

  get mounted(): boolean {
    return isMounted(this.path);
  }

  /** Asks the server to unmount and to end; answers its exit code. */
  stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.#end();
  }

  /** Unmounts from outside; answers the exit code of the server, which then has nothing left to do. */
  takeAway(): Promise<number | null> {
    unmount(this.path);
    return this.#end();
  }

  async #end(): Promise<number | null> {
    await until('the end of the server', () => this.ended);
    // Left where it is while something is mounted there, for the assertion that follows.
    if (!this.mounted) rmdirSync(this.path);
    return this.status;
  }
}
