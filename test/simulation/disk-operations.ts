import type { Random } from '../helpers/random.js';
import type { DeviceWork, SimulatedDevice } from './disk-device.js';
import { systemError } from './disk-error.js';

/** How simulated time reaches the disks of a process; nothing of it comes after the process has ended. */
export interface SimulatedTimer {
  elapsedMs(): number;
  after(ms: number, callback: () => void): () => void;
}

/** A call that is under way. */
export interface Operation {
  readonly device: SimulatedDevice;
  readonly work: DeviceWork;
  /** Named in errors. */
  readonly call: string;
  /** Does what was asked for and answers it; what it throws is answered too. */
  run(): void;
  fail(error: NodeJS.ErrnoException): void;
  /** The process has ended before the answer: what of it was done. Nothing where absent. */
  abandon?(random: Random): void;
}

/** The calls of one process that are under way on its devices. */
export class Operations {
  readonly #timer: SimulatedTimer;
  /** In the order in which they were begun, each with its device's attachment. */
  readonly #running = new Map<Operation, number>();
  #alive = true;
  /** Calls so far. */
  count = 0;

  constructor(timer: SimulatedTimer) {
    this.#timer = timer;
  }

  get alive(): boolean {
    return this.#alive;
  }

  start(operation: Operation): void {
    if (!this.#alive) return;
    this.count++;
    this.#running.set(operation, operation.device.attachment);
    this.#timer.after(operation.device.latencyMs(operation.work), () => this.#end(operation));
  }

  /** Ends the process: nothing is answered any more. */
  kill(random: Random): void {
    this.#alive = false;
    const running = [...this.#running];
    this.#running.clear();
    for (const [operation, attachment] of running) {
      if (operation.device.attachment === attachment) operation.abandon?.(random);
    }
  }

  #end(operation: Operation): void {
    if (!this.#alive) return;
    const fault = operation.device.faultOf(operation.work);
    if (fault === 'hang') {
      operation.device.hang(() => this.#end(operation));
      return;
    }
    const attached = this.#running.get(operation) === operation.device.attachment;
    this.#running.delete(operation);
    if (!attached) operation.fail(systemError('EIO', operation.call));
    else if (fault === null) operation.run();
    else operation.fail(systemError(fault, operation.call));
  }
}
