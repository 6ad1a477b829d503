import type { BinaryEnvironment } from '../../lib/database/environment.js';
import { SYSTEM, type System } from '../../lib/store/system.js';
import type { Time } from '../../lib/store/time.js';
import type { Random } from '../helpers/random.js';
import { SimulatedDatabase } from './disk-database.js';
import type { SimulatedDevice } from './disk-device.js';
import { SimulatedEnvironment } from './disk-environment.js';
import { systemError } from './disk-error.js';
import { SimulatedFiles } from './disk-files.js';
import { Mounts } from './disk-mounts.js';
import { Operations, type SimulatedTimer } from './disk-operations.js';
import { HashMemory } from './hash-memory.js';

export { type DeviceFault, type DeviceImage, type DeviceWork, SimulatedDevice } from './disk-device.js';
export type { SimulatedTimer } from './disk-operations.js';

const DATABASE_FILE = 'data.mdb';
/** Of all systems, as copies are on several. */
const hashes = new HashMemory(SYSTEM.hash);

/** What a process of a simulated machine has for its `System`. `lib/store` runs on it as it is. */
export class SimulatedSystem implements System {
  readonly files: SimulatedFiles;
  readonly time: Time;
  readonly #operations: Operations;
  readonly #mounts: Mounts;
  readonly #bootId: string;
  readonly #environments: SimulatedEnvironment[] = [];

  /** Answers of the disks come by `timer`; `clock` is the process's own, the same unless given. */
  constructor(mounts: Mounts, bootId: string, timer: SimulatedTimer, clock: SimulatedTimer = timer) {
    this.#mounts = mounts;
    this.#bootId = bootId;
    this.#operations = new Operations(timer);
    this.files = new SimulatedFiles(mounts, this.#operations);
    this.time = timeOf(clock, this.#operations);
  }

  get alive(): boolean {
    return this.#operations.alive;
  }

  /** Calls on disks so far. */
  get operations(): number {
    return this.#operations.count;
  }

  bootId(): string {
    return this.#bootId;
  }

  async attachment(directory: string): Promise<string> {
    return String(this.#mounts.at(directory)?.attachment ?? '');
  }

  syncFilesystem(directory: number): Promise<void> {
    const device = this.files.deviceOf(directory);
    if (!device) return Promise.reject(systemError('EIO', 'syncfs'));
    const sync = device.beginSync();
    return new Promise((resolve, reject) => {
      this.#operations.start({
        device,
        work: 'sync',
        call: 'syncfs',
        run: () => {
          sync.finish();
          resolve();
        },
        fail: (error) => {
          sync.fail();
          reject(error);
        },
      });
    });
  }

  /** The database is the file that LMDB would make in the directory; its name is durable when the directory is synced. */
  openEnvironment(directory: string): BinaryEnvironment {
    const { device, rest } = this.#mounts.find(directory);
    if (!device) throw systemError('ENOENT', 'open', directory);
    let parent = device.root;
    for (const name of rest) {
      let node = parent.get(name);
      if (!node) {
        node = device.newDirectory();
        parent.add(name, node);
      }
      if (node.kind !== 'directory') throw systemError('ENOTDIR', 'open', directory);
      parent = node;
    }
    let database = parent.get(DATABASE_FILE);
    if (!database) {
      database = device.newDatabase();
      parent.add(DATABASE_FILE, database);
    }
    if (!(database instanceof SimulatedDatabase)) throw systemError('EACCES', 'open', directory);
    const environment = new SimulatedEnvironment(database, device, this.#operations);
    this.#environments.push(environment);
    return environment;
  }

  hash(hash: Buffer, bytes: Buffer): void {
    hashes.hash(hash, bytes);
  }

  /** The process ends, as by kill -9: of what is under way, some is done, and nothing is answered. */
  kill(random: Random): void {
    if (!this.alive) return;
    this.#operations.kill(random);
    for (const environment of this.#environments) environment.kill(random);
    this.files.kill();
  }
}

/** A machine with its disks: its processes end, it is rebooted, and what was synced stays. */
export class SimulatedMachine {
  readonly name: string;
  readonly mounts = new Mounts();
  readonly #systems = new Set<SimulatedSystem>();
  #boots = 1;

  constructor(name: string) {
    this.name = name;
  }

  get bootId(): string {
    return `${this.name} boot ${this.#boots}`;
  }

  mount(path: string, device: SimulatedDevice): void {
    this.mounts.mount(path, device);
  }

  unmount(path: string): void {
    this.mounts.unmount(path);
  }

  /** A device is pulled out, with what was in its caches lost. To be mended before it is mounted again. */
  remove(path: string, random: Random): void {
    const device = this.mounts.at(path);
    if (!device) return;
    this.mounts.unmount(path);
    device.powerCut(random);
    device.breakAll('ENODEV');
  }

  /** What a process that is started now has. */
  start(timer: SimulatedTimer, clock?: SimulatedTimer): SimulatedSystem {
    for (const system of this.#systems) if (!system.alive) this.#systems.delete(system);
    const system = new SimulatedSystem(this.mounts, this.bootId, timer, clock);
    this.#systems.add(system);
    return system;
  }

  /** Ends every process. */
  kill(random: Random): void {
    for (const system of this.#systems) system.kill(random);
    this.#systems.clear();
  }

  /** The power goes and comes back. */
  reboot(random: Random): void {
    this.kill(random);
    for (const device of this.mounts.devices) device.powerCut(random);
    this.#boots++;
  }
}

function timeOf(clock: SimulatedTimer, operations: Operations): Time {
  const after = (ms: number, callback: () => void) =>
    clock.after(ms, () => {
      if (operations.alive) callback();
    });
  return {
    elapsedMs: () => clock.elapsedMs(),
    after,
    every(ms, callback) {
      let cancel = () => {};
      const wait = () => {
        cancel = after(ms, () => {
          wait();
          callback();
        });
      };
      wait();
      return () => cancel();
    },
  };
}
