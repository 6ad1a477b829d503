import { SimulatedMachine, type SimulatedSystem, type SimulatedTimer } from '../simulation/disk.js';
import { type DeviceOptions, SimulatedDevice } from '../simulation/disk-device.js';
import { Scheduler } from '../simulation/scheduler.js';
import { Random } from './random.js';

/** A simulated machine with disks, and one process at a time. */
export class MachineRun {
  readonly random: Random;
  readonly scheduler = new Scheduler();
  readonly machine = new SimulatedMachine('host');
  readonly devices: SimulatedDevice[] = [];
  readonly directories: string[] = [];
  readonly #timer: SimulatedTimer;
  system: SimulatedSystem;
  /** Calls on disks of processes that have ended. */
  #operationsBefore = 0;

  constructor(seed: number, disks: number, options: Partial<DeviceOptions> = {}) {
    this.random = new Random(seed);
    this.#timer = {
      elapsedMs: () => this.scheduler.nowMs,
      after: (ms, callback) => this.scheduler.after(ms, callback),
    };
    for (let disk = 1; disk <= disks; disk++) {
      const device = new SimulatedDevice({ random: new Random(seed * 1000 + disk), ...options });
      this.devices.push(device);
      this.directories.push(`/disk${disk}`);
      this.machine.mount(`/disk${disk}`, device);
    }
    this.system = this.machine.start(this.#timer);
  }

  get operations(): number {
    return this.#operationsBefore + this.system.operations;
  }

  /** Lets simulated time pass until the promise is settled. */
  settle<T>(promise: Promise<T>): Promise<T> {
    return this.scheduler.settle(promise, { untilMs: this.scheduler.nowMs + 600_000 });
  }

  /** Lets simulated time pass. */
  async pass(ms: number): Promise<void> {
    await this.scheduler.run({ untilMs: this.scheduler.nowMs + ms });
  }

  /** The process ends, as by kill -9, and another takes its place. */
  kill(): void {
    this.machine.kill(this.random);
    this.#restart();
  }

  /** The machine loses its power and starts again. */
  reboot(): void {
    this.machine.reboot(this.random);
    this.#restart();
  }

  #restart(): void {
    this.#operationsBefore += this.system.operations;
    this.system = this.machine.start(this.#timer);
  }
}
