import { type ChildProcess, fork, spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MountError, mountDevice, unmount } from '../fuse/mount.js';
import type { Negotiated } from '../fuse/session.js';
import { RESTART_CODE, type SupervisorMessage, type WorkerMessage } from './messages.js';

/**
 * The supervisor: holds /dev/fuse open, mounts it, and keeps a worker running on it. It holds nothing that can be
 * lost and depends on nothing but Node, so that it has no reason to die; everything else is the worker's.
 */

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

/** Waits before the next start, by how many workers in a row died before they were ready (the last one counts). */
const BACKOFF_MS = [0, 0, 0, 100, 200, 500, 1000, 2000, 5000, 15000, 30000];

/**
 * Threads for what Node cannot wait for in its event loop: file I/O. Not io_uring, which libuv would use with a polling
 * thread of the kernel: that halves the cost on an idle host, and on a busy one waits for its turn behind the guests.
 */
const WORKER_ENVIRONMENT = { UV_THREADPOOL_SIZE: '20', UV_USE_IO_URING: '0' };

function say(text: string): void {
  process.stderr.write(`sheep: ${text}\n`);
}

function tellSystemd(...states: string[]): void {
  if (!process.env.NOTIFY_SOCKET) return;
  const notify = spawn('systemd-notify', states, { stdio: 'ignore' });
  notify.on('error', (error) => say(`cannot run systemd-notify: ${error.message}`));
}

class Supervisor {
  readonly #args: string[];
  #device: number | null = null;
  #deviceError = '';
  #mountPath: string | null = null;
  #negotiated: Negotiated | null = null;
  #worker: ChildProcess | null = null;
  #everReady = false;
  #stopping = false;
  #young = 0;
  #restarts = 0;
  #next: NodeJS.Timeout | undefined;

  constructor(args: string[]) {
    this.#args = args;
  }

  run(): void {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => this.#stop());
    this.#openDevice();
    this.#start();
  }

  // What fails here is said only when the worker asks for the mount: an option of its own may be wrong first.
  #openDevice(): void {
    try {
      this.#device = openSync('/dev/fuse', constants.O_RDWR);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const root = process.getuid?.() !== 0;
      this.#deviceError = root
        ? 'mounting needs root; run sheep as root, or with --fuse native'
        : code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO'
          ? '/dev/fuse is missing; load the kernel module with: modprobe fuse'
          : `/dev/fuse cannot be opened (${code})`;
    }
  }

  #start(): void {
    const started = Date.now();
    const worker = fork(WORKER, this.#args, {
      stdio: ['ignore', 'inherit', 'inherit', this.#device ?? 'ignore', 'ipc', this.#device ?? 'ignore'],
      env: {
        ...WORKER_ENVIRONMENT,
        ...process.env,
        ...(this.#mountPath ? { SHEEP_RESTART: String(this.#restarts) } : {}),
      },
    });
    this.#worker = worker;
    worker.on('message', (message) => this.#receive(worker, message as WorkerMessage));
    worker.on('error', (error) => say(`worker: ${error.message}`));
    worker.on('exit', (code, signal) => this.#exited(code, signal, Date.now() - started));
  }

  #receive(worker: ChildProcess, message: WorkerMessage): void {
    switch (message.type) {
      case 'mount':
        this.#answer(worker, this.#mount(message.path));
        break;
      case 'negotiated':
        this.#negotiated = message.negotiated;
        break;
      case 'ready':
        this.#young = 0;
        if (!this.#everReady) tellSystemd('READY=1', `STATUS=serving ${this.#mountPath ?? ''}`);
        this.#everReady = true;
        break;
      case 'unmount':
        this.#answer(worker, this.#unmount());
        break;
    }
  }

  #answer(worker: ChildProcess, message: SupervisorMessage): void {
    // A worker that died meanwhile is seen by its exit.
    if (worker.connected) worker.send(message, () => undefined);
  }

  #mount(path: string): SupervisorMessage {
    if (this.#mountPath !== null) return { type: 'mounted', resume: this.#negotiated };
    if (this.#device === null) return { type: 'refused', message: this.#deviceError };
    if (process.getuid?.() !== 0) return { type: 'refused', message: 'mounting needs root; run sheep as root' };
    try {
      mountDevice(this.#device, path);
    } catch (error) {
      return { type: 'refused', message: (error as Error).message };
    }
    this.#mountPath = path;
    return { type: 'mounted', resume: null };
  }

  #unmount(): SupervisorMessage {
    if (this.#mountPath === null) return { type: 'unmounted', busy: false };
    let busy = false;
    try {
      unmount(this.#mountPath, false);
    } catch (error) {
      busy = error instanceof MountError && error.code === 'UNMOUNT_BUSY';
      if (busy) unmount(this.#mountPath, true);
      else say((error as Error).message);
    }
    this.#mountPath = null;
    return { type: 'unmounted', busy };
  }

  #exited(code: number | null, signal: NodeJS.Signals | null, livedMs: number): void {
    this.#worker = null;
    const asked = code === RESTART_CODE;
    if (code === 0 || this.#stopping || (!this.#everReady && code !== null && !asked)) {
      if (this.#mountPath !== null) this.#unmount();
      // Ends by itself when systemd has been told what there is to tell.
      process.exitCode = code ?? 1;
      return;
    }
    // Without resend, or with a worker that died before it had answered INIT, requests in flight are lost: the mount
    // starts afresh.
    if (this.#mountPath !== null && !this.#negotiated?.resend) this.#discardMount();
    if (!asked) this.#young++;
    const wait = BACKOFF_MS[Math.min(this.#young, BACKOFF_MS.length - 1)]!;
    const why = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
    const next =
      wait === 0 ? 'starting another' : `${this.#young} in a row died before they were ready; next in ${wait / 1000} s`;
    if (!asked) say(`the worker ${why} after ${(livedMs / 1000).toFixed(1)} s, ${next}`);
    this.#restarts++;
    this.#next = setTimeout(() => this.#start(), wait);
  }

  #discardMount(): void {
    unmount(this.#mountPath!, true);
    this.#mountPath = null;
    this.#negotiated = null;
    closeSync(this.#device!);
    this.#device = null;
    this.#openDevice();
  }

  #stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    tellSystemd('STOPPING=1');
    clearTimeout(this.#next);
    if (this.#worker?.connected) this.#answer(this.#worker, { type: 'stop' });
    else this.#exited(0, null, 0);
  }
}

/** Runs the daemon with the command line's arguments until it is told to stop; ends the process itself. */
export function supervise(args: string[]): void {
  new Supervisor(args).run();
}
