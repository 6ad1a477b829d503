/** A cluster of real daemons on hosts of their own. */
import { type Host, Hosts, type HostsOptions } from './hosts.js';
import type { Teardowns } from './scope.js';
import { until } from './until.js';

/** Until every group has all its copies, on a machine that has other things to do. */
const HEALTHY_DEADLINE_MS = 120_000;
const TOKEN_DEADLINE_MS = 60_000;

export interface ClusterOptions extends HostsOptions {
  /** Hosts that are started; all of them unless given. */
  started?: number;
  /** Further options of every daemon. */
  args?: readonly string[];
}

/** Hosts of one cluster, called host1, host2 and so on. */
export class Cluster {
  readonly hosts: Hosts;
  readonly #args: readonly string[];
  #token: string | null = null;

  private constructor(hosts: Hosts, args: readonly string[]) {
    this.hosts = hosts;
    this.#args = args;
  }

  /** Starts the hosts one after the other, and waits until each serves. */
  static async start(t: Teardowns, count: number, options: ClusterOptions = {}): Promise<Cluster> {
    const { started = count, args = [], ...rest } = options;
    const cluster = new Cluster(await Hosts.create(t, count, rest), args);
    for (const host of cluster.all.slice(0, started)) await cluster.startHost(host);
    return cluster;
  }

  get all(): readonly Host[] {
    return this.hosts.all;
  }

  /** By number, from 1 on. */
  host(number: number): Host {
    return this.all[number - 1]!;
  }

  /** Starts a host, as a new one of the cluster where it is none yet. */
  async startHost(host: Host, args: readonly string[] = []): Promise<void> {
    const joins = host.number === 1 ? [] : ['--join', await this.token()];
    await host.startSheep([...this.#args, ...args, '--name', `host${host.number}`, ...joins]);
  }

  /** As the first host prints it; always the same one. */
  async token(): Promise<string> {
    if (this.#token === null) {
      const { status, stdout, stderr } = await this.host(1).dog(['cluster', 'token'], {
        deadlineMs: TOKEN_DEADLINE_MS,
      });
      if (status !== 0) throw new Error(`dog cluster token: ${stderr}`);
      this.#token = stdout.trim();
    }
    return this.#token;
  }

  /** What `dog status --json` says on a host. */
  async status(host: Host): Promise<{ healthy: boolean; hosts: { name: string; state: string }[] }> {
    const { status, stdout, stderr } = await host.dog(['status', '--json']);
    if (status !== 0) throw new Error(`dog status: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Resolves when a host says that all is well, with so many hosts. */
  async healthy(count: number, from: Host = this.host(1)): Promise<void> {
    await until(
      `${count} hosts to be healthy`,
      async () => {
        const { healthy, hosts } = await this.status(from);
        return healthy && hosts.length === count;
      },
      HEALTHY_DEADLINE_MS,
    );
  }
}
