/**
 * A network of hosts: each in a network namespace of its own, with an address on one wire that no other network has. It
 * is all in namespaces of this process, that of the wire's switch too, so nothing of it is to be seen on the machine's
 * network, and it is gone with them.
 */
import { removeNamespace, trackNamespace } from './cleanup.js';
import { ownPrefix, sweepHosts } from './host-leftovers.js';
import { must } from './run.js';
import type { Teardowns } from './scope.js';

export const HOSTS_MAX = 250;
/** Of the addresses that hosts may have: all of 10.0.0.0/8 is on the wire. */
const ADDRESS_BITS = 8;
/** After the hosts' own teardowns, before that of directories. */
const TEARDOWN_ORDER = 500;

const SWITCH = 'switch0';
/** Pairs of ports between which the switch carries nothing, one direction each. */
const RULES = `
table bridge hosts {
  set blocked { type ifname . ifname; }
  chain forward {
    type filter hook forward priority 0;
    iifname . oifname @blocked drop;
  }
}`;

let networks = 0;

export class HostNetwork {
  readonly #prefix: string;
  readonly size: number;

  private constructor(prefix: string, size: number) {
    this.#prefix = prefix;
    this.size = size;
  }

  /** Of `size` hosts, numbered from 1, with addresses 10.61.0.1 and following. */
  static async create(t: Teardowns, size: number): Promise<HostNetwork> {
    if (size < 1 || size > HOSTS_MAX) throw new Error(`a network of ${size} hosts`);
    sweepHosts();
    const network = new HostNetwork(`${ownPrefix()}${++networks}-`, size);
    const names = network.#names;
    for (const name of names) trackNamespace(name);
    t.teardown(() => names.forEach(removeNamespace), { order: TEARDOWN_ORDER, force: true });
    await Promise.all(names.map((name) => must('ip', ['netns', 'add', name])));
    await network.#connect();
    return network;
  }

  get #switch(): string {
    return `${this.#prefix}switch`;
  }

  get #numbers(): number[] {
    return Array.from({ length: this.size }, (_, at) => at + 1);
  }

  get #names(): string[] {
    return [this.#switch, ...this.#numbers.map((number) => this.namespaceOf(number))];
  }

  namespaceOf(host: number): string {
    return `${this.#prefix}${host}`;
  }

  /**
   * A command that becomes the command that follows it, on the network of the host. Not `ip netns exec`, which has a
   * namespace of mounts as well: a mount that is made there would be seen by nobody else, and this machine's /sys not.
   */
  through(host: number): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.namespaceOf(host)}`, '--'];
  }

  async #connect(): Promise<void> {
    const ports = this.#numbers.flatMap((host) => [
      `link add ${portOf(host)} type veth peer name eth0 netns ${this.namespaceOf(host)}`,
      `link set ${portOf(host)} master ${SWITCH} up`,
    ]);
    await this.#ip(this.#switch, [`link add ${SWITCH} type bridge`, `link set ${SWITCH} up`, ...ports]);
    const hosts = this.#numbers.map((host) =>
      this.#ip(this.namespaceOf(host), [
        'link set lo up',
        `addr add ${addressOf(host)}/${ADDRESS_BITS} dev eth0`,
        'link set eth0 up',
      ]),
    );
    await Promise.all([...hosts, this.#nft('-f', '-')]);
  }

  /** Pulls the plug of the host: it has its address still, sends, and nothing arrives. */
  async cut(host: number): Promise<void> {
    await this.#ip(this.#switch, [`link set ${portOf(host)} down`]);
  }

  async restore(host: number): Promise<void> {
    await this.#ip(this.#switch, [`link set ${portOf(host)} up`]);
  }

  /** Loses all that one host sends to the other, whatever their addresses; connections are not told. */
  async block(from: number, to: number): Promise<void> {
    await this.#nft('add', 'element', 'bridge', 'hosts', 'blocked', `{ ${portOf(from)} . ${portOf(to)} }`);
  }

  async unblock(from: number, to: number): Promise<void> {
    await this.#nft('delete', 'element', 'bridge', 'hosts', 'blocked', `{ ${portOf(from)} . ${portOf(to)} }`);
  }

  /** Gives the host another address, within 10.0.0.0/8, in place of the one that it has. */
  async changeAddress(host: number, address: string): Promise<void> {
    await this.#ip(this.namespaceOf(host), ['addr flush dev eth0', `addr add ${address}/${ADDRESS_BITS} dev eth0`]);
  }

  async #ip(namespace: string, lines: readonly string[]): Promise<void> {
    await must('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  async #nft(...args: readonly string[]): Promise<void> {
    await must('nsenter', [`--net=/run/netns/${this.#switch}`, '--', 'nft', ...args], { input: RULES });
  }
}

function portOf(host: number): string {
  return `host${host}`;
}

/** The address that a host has at first. */
export function addressOf(host: number): string {
  return `10.61.0.${host}`;
}
