import { join } from 'node:path';
import { z } from 'zod';
import { type Clock, pause } from '../cluster/clock.js';
import { isUnavailable } from '../cluster/patient-coordination.js';
import { type EtcdCoordination, type EtcdOptions, openEtcd } from '../coordination/etcd.js';
import { type EtcdAdministration, openEtcdAdministration } from '../coordination/etcd-administration.js';
import { formatHostPort, parseHostPort } from '../net/address.js';
import type { HostCredentials } from '../net/credentials.js';
import { readIfThere, replaceDurably } from '../net/durable-file.js';
import type { Logger } from './log.js';
import { StateError } from './state-error.js';

/** Ports of a host that runs a member of the store, after the one that it listens at for links. */
export const CLIENT_PORT_OFFSET = 1;
export const PEER_PORT_OFFSET = 2;

const FILE = 'store.json';
/** Before a store that did not answer is asked again, and how often that is said. */
const RETRY_MS = 500;
const SAY_EVERY_MS = 10_000;

const Remembered = z.strictObject({
  format: z.literal(1),
  /** Hosts that run a member, and where they were reached for links last. */
  members: z.array(z.strictObject({ host: z.string(), addresses: z.array(z.string()) })),
});
type Member = z.infer<typeof Remembered>['members'][number];

export interface StoreAccessOptions {
  /** Where it is remembered who keeps the store. */
  readonly directory: string;
  readonly host: string;
  readonly credentials: HostCredentials;
  /** URLs of an etcd that is not ours; empty where hosts run one. */
  readonly external: readonly string[];
  /** Where this host's own member is asked, where it has one. */
  ownSocket(): string | null;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The way to the store that several hosts share: who keeps it, and where they are now. */
export class StoreAccess {
  readonly #options: StoreAccessOptions;
  #members: readonly Member[];
  #store: EtcdCoordination | null = null;
  #administration: EtcdAdministration | null = null;
  #saving: Promise<void> = Promise.resolve();
  /** By host, where it was found by this process. */
  readonly #found = new Map<string, readonly string[]>();

  private constructor(options: StoreAccessOptions, members: readonly Member[]) {
    this.#options = options;
    this.#members = members;
  }

  /** Throws StateError DAMAGED. */
  static async open(options: StoreAccessOptions): Promise<StoreAccess> {
    const path = join(options.directory, FILE);
    const text = await readIfThere(path);
    if (text === null) return new StoreAccess(options, []);
    try {
      return new StoreAccess(options, Remembered.parse(JSON.parse(text.toString())).members);
    } catch (error) {
      throw new StateError('DAMAGED', `${path} is damaged; join the cluster anew, with another --state: ${error}`);
    }
  }

  /** Remembers who keeps the store before this host has ever asked it. */
  static async remember(directory: string, members: readonly Member[]): Promise<void> {
    await replaceDurably(join(directory, FILE), JSON.stringify({ format: 1, members }));
  }

  get memberHosts(): readonly string[] {
    return this.#members.map(({ host }) => host);
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** Resolves when the store answers, however long that takes. */
  async connect(): Promise<EtcdCoordination> {
    const { clock, log } = this.#options;
    for (let saidAtMs = clock.elapsedMs(); ; ) {
      try {
        this.#store = await openEtcd(this.#etcdOptions());
        return this.#store;
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        if (clock.elapsedMs() - saidAtMs >= SAY_EVERY_MS) {
          saidAtMs = clock.elapsedMs();
          log.warn(`waits for what the hosts agree by: ${(error as Error).message}`);
        }
        await pause(clock, RETRY_MS);
      }
    }
  }

  /** For the members of a store that hosts run; to be closed with this. */
  get administration(): EtcdAdministration {
    this.#administration ??= openEtcdAdministration(this.#etcdOptions());
    return this.#administration;
  }

  #etcdOptions(): EtcdOptions {
    const { credentials, external } = this.#options;
    const { authority, certificate, privateKey } = credentials;
    const tls = { ca: authority.certificate, cert: certificate, key: privateKey };
    return { endpoints: this.#endpoints(), ...(external.length === 0 && { tls }) };
  }

  /** A host is reached there (`HOST:PORT`, for links). */
  found(host: string, addresses: readonly string[]): void {
    this.#found.set(host, addresses);
    if (!this.memberHosts.includes(host)) return;
    this.#setMembers(
      this.#members.map((member) => (member.host === host ? { host, addresses: [...addresses] } : member)),
    );
  }

  /**
   * These hosts run a member now, at these addresses (`HOST:PORT`, for links) unless they were found elsewhere. None is no
   * news: there is always one.
   */
  setMembers(members: readonly { host: string; addresses: readonly string[] }[]): void {
    const known = members.filter(({ addresses }) => addresses.length > 0);
    if (known.length === 0) return;
    this.#setMembers(
      known.map(({ host, addresses }) => ({ host, addresses: [...(this.#found.get(host) ?? addresses)] })),
    );
  }

  async close(): Promise<void> {
    await this.#saving;
    await this.#store?.close();
    await this.#administration?.close();
  }

  #setMembers(members: readonly Member[]): void {
    if (JSON.stringify(members) === JSON.stringify(this.#members)) return;
    this.#members = members;
    this.#store?.setEndpoints(this.#endpoints());
    this.#administration?.setEndpoints(this.#endpoints());
    const { directory, log } = this.#options;
    this.#saving = this.#saving.then(() =>
      StoreAccess.remember(directory, this.#members).catch((error) => log.error(`${FILE} was not written: ${error}`)),
    );
  }

  #endpoints(): string[] {
    const { external, host, ownSocket } = this.#options;
    if (external.length > 0) return [...external];
    const own = ownSocket();
    const others = this.#members.filter((member) => member.host !== host || own === null);
    return [...(own === null ? [] : [own]), ...others.flatMap(({ addresses }) => addresses.map(clientUrl))];
  }
}

/** Where a host's member is asked by other hosts. */
export function clientUrl(address: string): string {
  return urlAt(address, CLIENT_PORT_OFFSET);
}

/** Where other members reach a host's. */
export function peerUrl(address: string): string {
  return urlAt(address, PEER_PORT_OFFSET);
}

function urlAt(address: string, offset: number): string {
  const { host, port } = parseHostPort(address);
  return `https://${formatHostPort({ host, port: port + offset })}`;
}
