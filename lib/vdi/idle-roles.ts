import type { Clock } from '../cluster/clock.js';

/** How long after the last close: an image that is closed and opened again, as by a script, keeps its role. */
const IDLE_MS = 30_000;

/** Images that nobody on this host has open any more, until their writer role may go. */
export class IdleRoles {
  readonly #clock: Clock;
  readonly #giveBack: (id: number) => void;
  readonly #waiting = new Map<number, () => void>();

  constructor(clock: Clock, giveBack: (id: number) => void) {
    this.#clock = clock;
    this.#giveBack = giveBack;
  }

  /** The last handle of the image was closed. */
  closed(id: number): void {
    this.#waiting.get(id)?.();
    const cancel = this.#clock.after(IDLE_MS, () => {
      this.#waiting.delete(id);
      this.#giveBack(id);
    });
    this.#waiting.set(id, cancel);
  }

  close(): void {
    for (const cancel of this.#waiting.values()) cancel();
    this.#waiting.clear();
  }
}
