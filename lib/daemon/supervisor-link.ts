import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Negotiated } from '../fuse/session.js';
import { RESTART_CODE, type SupervisorMessage, type WorkerMessage } from './messages.js';

/** What the supervisor refused; the message is one line. */
export class MountRefused extends Error {
  readonly code = 'MOUNT_REFUSED';
}

/** The worker's end of the channel to its supervisor. */
export class SupervisorLink {
  /** Whether an earlier worker had the mount. */
  readonly isRestart = process.env.SHEEP_RESTART !== undefined;
  /** Workers that there were before. */
  readonly restarts = Number(process.env.SHEEP_RESTART ?? 0);
  #waiting: ((message: SupervisorMessage) => void) | null = null;
  #onStop: (() => void) | null = null;
  #onLost: (() => void) | null = null;
  #stopAsked = false;

  constructor() {
    process.on('message', (message) => this.#receive(message as SupervisorMessage));
    process.on('disconnect', () => this.#onLost?.());
    // The terminal sends signals to both processes; the supervisor passes on what is meant. Without one, they count.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (!process.connected) this.#stop();
      });
    }
  }

  /** Asks for the mount; answers what an earlier worker on it negotiated. Throws MountRefused. */
  async mount(path: string): Promise<{ resume: Negotiated | null }> {
    const answer = await this.#ask({ type: 'mount', path });
    if (answer.type === 'mounted') return { resume: answer.resume };
    throw new MountRefused(answer.type === 'refused' ? answer.message : `unexpected answer ${answer.type}`);
  }

  negotiated(negotiated: Negotiated): void {
    this.#send({ type: 'negotiated', negotiated });
  }

  ready(): void {
    this.#send({ type: 'ready' });
  }

  /** Answers whether files were still open. A worker that has lost its supervisor takes the mount away itself. */
  async unmount(path: string): Promise<boolean> {
    if (!process.connected) {
      // Not waited for in a blocking way: the kernel may still ask this very process.
      await promisify(execFile)('umount', ['-i', '-l', path]);
      return false;
    }
    const answer = await this.#ask({ type: 'unmount' });
    return answer.type === 'unmounted' && answer.busy;
  }

  /** Ends this worker, as a crash would, so that another one takes its place. */
  restart(): never {
    process.exit(RESTART_CODE);
  }

  /** `listener` is called once the daemon is to end, at once if that was said already. */
  onStop(listener: () => void): void {
    this.#onStop = listener;
    if (this.#stopAsked) listener();
  }

  /** `listener` is called when the supervisor died: nobody would start another worker. */
  onLost(listener: () => void): void {
    this.#onLost = listener;
  }

  #ask(message: WorkerMessage): Promise<SupervisorMessage> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#send(message);
    });
  }

  #send(message: WorkerMessage): void {
    process.send?.(message);
  }

  #receive(message: SupervisorMessage): void {
    if (message.type === 'stop') {
      this.#stop();
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(message);
  }

  #stop(): void {
    this.#stopAsked = true;
    this.#onStop?.();
  }
}
