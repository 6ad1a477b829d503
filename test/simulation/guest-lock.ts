import type { LockRequest } from '../../lib/fuse/operations.js';
import type { Run, SimulatedHost } from './simulated-host.js';
import type { SimulatedImage } from './simulated-image.js';
import type { World } from './world.js';

/** The lock under which one guest uses an image, as qemu's is: nobody else may have it at the same time. */
export class GuestLock {
  state: 'none' | 'taking' | 'held' | 'over' = 'none';
  readonly #world: World;
  readonly #image: SimulatedImage;
  readonly #host: SimulatedHost;
  readonly #handle: number;

  constructor(world: World, image: SimulatedImage, host: SimulatedHost) {
    this.#world = world;
    this.#image = image;
    this.#host = host;
    this.#handle = ++host.handles;
  }

  /** False where another guest has it. Done again by the next worker, it comes to the same. */
  async take(run: Run): Promise<boolean> {
    this.state = 'taking';
    try {
      await run.locks.setlk(this.#image.vdi, this.#handle, this.#request('write'), {
        aborted: false,
        onAbort: () => {},
      });
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EAGAIN') throw error;
      this.state = 'over';
      return false;
    }
    if (this.state !== 'taking') return true;
    this.state = 'held';
    this.#image.locker = this;
    this.#world.trace.note(this.#host.id, `vdi ${this.#image.vdi}: locked by guest ${this.#handle}`);
    return true;
  }

  /** To be called when the guest is answered: throws where somebody else has taken its place. */
  check(): void {
    if (this.state === 'held' && this.#image.locker !== this) {
      throw new Error(`guest ${this.#handle} is answered, although another one has its lock`);
    }
  }

  /** The guest has ended: its kernel closes its files, on whatever worker there is. */
  release(): void {
    if (this.state === 'over' || this.state === 'none') return;
    this.state = 'over';
    void this.#release();
  }

  /** The guest is gone, and its kernel as well: nobody gives the lock back. */
  vanish(): void {
    this.state = 'over';
  }

  async #release(): Promise<void> {
    for (;;) {
      const run = await this.#host.running();
      const done = run.locks.releaseHandle(this.#image.vdi, this.#handle).then(() => true);
      if (await Promise.race([done, run.ended])) return;
    }
  }

  #request(type: LockRequest['type']): LockRequest {
    const owner = BigInt(this.#handle);
    return { type, start: 0, end: 0, owner, pid: this.#handle, flock: false, wait: false };
  }
}
