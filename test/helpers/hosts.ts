/**
 * Hosts for a test, as real as one machine can make them: each has a network namespace, and directories for state, disks
 * and mount. All of them see this machine's files and processes, so that a test can look at what they mount.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { killProcess, processesIn, temporaryDirectory } from './cleanup.js';
import { ownPrefix } from './host-leftovers.js';
import { addressOf, HostNetwork } from './host-network.js';
import { type RunOptions, type RunResult, run } from './run.js';
import type { Teardowns } from './scope.js';
import { runDog, type Sheep, startSheep } from './sheep.js';
import { until } from './until.js';

export interface HostsOptions {
  /** Of each host; one by default. */
  disks?: number;
}

/** What dies on a host. */
export type Victim = 'worker' | 'supervisor' | 'everything';

interface HostParts {
  readonly t: Teardowns;
  readonly number: number;
  readonly network: HostNetwork;
  readonly directory: string;
  readonly disks: number;
}

export class Host {
  /** From 1 on. */
  readonly number: number;
  readonly state: string;
  readonly mount: string;
  readonly control: string;
  /** Directories. */
  readonly disks: readonly string[];
  readonly #t: Teardowns;
  readonly #network: HostNetwork;
  #address: string;
  #sheep: Sheep | null = null;

  constructor({ t, number, network, directory, disks }: HostParts) {
    this.#t = t;
    this.number = number;
    this.#network = network;
    this.#address = addressOf(number);
    this.state = join(directory, 'state');
    this.mount = join(directory, 'mount');
    this.control = join(directory, 'sheep.sock');
    this.disks = Array.from({ length: disks }, (_, at) => join(directory, `disk${at + 1}`));
  }

  get address(): string {
    return this.#address;
  }

  get namespace(): string {
    return this.#network.namespaceOf(this.number);
  }

  /** The daemon that was started last. Throws where there was none. */
  get sheep(): Sheep {
    if (this.#sheep === null) throw new Error(`host ${this.number} has no daemon`);
    return this.#sheep;
  }

  /** Starts the daemon on this host's directories, and waits until its mount can be used. */
  async startSheep(args: readonly string[] = []): Promise<Sheep> {
    const { state, mount, control, disks } = this;
    const through = this.#network.through(this.number);
    this.#sheep = await startSheep(this.#t, { state, mount, control, disks, through, args });
    return this.#sheep;
  }

  /** Runs `dog` against this host's daemon. */
  dog(args: readonly string[], options?: RunOptions): Promise<RunResult> {
    return runDog(this, args, options);
  }

  /** A command that becomes, on this host's network, the command that follows it. */
  get through(): readonly string[] {
    return this.#network.through(this.number);
  }

  /** Runs a program on this host's network: qemu, fio, whatever is to reach other hosts, or a mount. See `run`. */
  exec([command, ...args]: readonly [string, ...string[]], options?: RunOptions): Promise<RunResult> {
    const [enter, ...rest] = this.#network.through(this.number);
    return run(enter!, [...rest, command, ...args], options);
  }

  /** Processes that run on this host. */
  get processes(): number[] {
    return processesIn(this.namespace);
  }

  /** SIGKILL, and resolves when it is dead. Everything: every process that runs on the host. */
  async kill(victim: Victim): Promise<void> {
    if (victim === 'supervisor') return this.sheep.killSupervisor();
    if (victim === 'worker') {
      const pid = await this.sheep.killWorker();
      await until(`the end of the worker ${pid}`, () => !this.processes.includes(pid));
      return;
    }
    // A supervisor may have started one more meanwhile.
    await until(`the end of everything on host ${this.number}`, () => {
      const { processes } = this;
      processes.forEach(killProcess);
      return processes.length === 0;
    });
    await this.#sheep?.ended;
  }

  /** Pulls the plug: the host has its address still, and reaches nobody. */
  cut(): Promise<void> {
    return this.#network.cut(this.number);
  }

  restore(): Promise<void> {
    return this.#network.restore(this.number);
  }

  /** Gives the host another address, anywhere in 10.0.0.0/8; what it has open by the old one does not go on. */
  async changeAddress(address: string): Promise<void> {
    await this.#network.changeAddress(this.number, address);
    this.#address = address;
  }
}

/** Hosts that reach one another, until they are told apart. All that there is of them is gone after the test. */
export class Hosts implements Iterable<Host> {
  readonly all: readonly Host[];
  readonly #network: HostNetwork;

  private constructor(network: HostNetwork, all: readonly Host[]) {
    this.#network = network;
    this.all = all;
  }

  static async create(t: Teardowns, count: number, { disks = 1 }: HostsOptions = {}): Promise<Hosts> {
    const network = await HostNetwork.create(t, count);
    const base = await temporaryDirectory(t, ownPrefix());
    const all: Host[] = [];
    for (let number = 1; number <= count; number++) {
      const directory = join(base, `${number}`);
      await mkdir(directory);
      all.push(new Host({ t, number, network, directory, disks }));
    }
    return new Hosts(network, all);
  }

  [Symbol.iterator](): Iterator<Host> {
    return this.all[Symbol.iterator]();
  }

  /** Cuts two hosts off from one another; both reach all others. */
  async partition(one: Host, other: Host): Promise<void> {
    await this.block(one, other);
    await this.block(other, one);
  }

  async heal(one: Host, other: Host): Promise<void> {
    await this.unblock(one, other);
    await this.unblock(other, one);
  }

  /** Loses all that one host sends to the other, and nothing that comes back. */
  block(from: Host, to: Host): Promise<void> {
    return this.#network.block(from.number, to.number);
  }

  unblock(from: Host, to: Host): Promise<void> {
    return this.#network.unblock(from.number, to.number);
  }
}
