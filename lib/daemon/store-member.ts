import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DATA_NAME, type EtcdMemberOptions } from '../coordination/etcd-arguments.js';
import { EtcdProcess, socketUrlIn, wipeEtcd } from '../coordination/etcd-process.js';
import { formatHostPort, type HostPort } from '../net/address.js';
import { CREDENTIAL_FILES } from '../net/credentials.js';
import type { StateDirectory } from './state.js';
import { clientUrl, peerUrl } from './store-access.js';

/** Below the state directory: the host's certificate and its authority's; what a member of the store has. */
export const TLS_DIRECTORY = 'tls';
const ETCD_DIRECTORY = 'etcd';

export interface StoreMemberOptions {
  readonly state: StateDirectory;
  readonly listen: HostPort;
  /** Where other hosts reach this one, `HOST:PORT`, for links. */
  address(): string;
  /** Hears, in a line, what has happened to it. */
  say(message: string): void;
}

/** How a member that has no data yet begins. */
export interface Beginning {
  readonly state: 'new' | 'existing';
  /** Members as they were when this one was added, without it: by host, where they are reached by peers. */
  readonly others: Readonly<Record<string, string>>;
}

/** The member of the store that this host runs, if it does. */
export class StoreMember {
  readonly #options: StoreMemberOptions;
  readonly #directory: string;
  #process: EtcdProcess | null = null;

  constructor(options: StoreMemberOptions) {
    this.#options = options;
    this.#directory = join(options.state.path, ETCD_DIRECTORY);
  }

  /** Whether this host has, or had, a member. */
  get exists(): boolean {
    return existsSync(join(this.#directory, DATA_NAME));
  }

  /** Where this host itself asks its member; null where it has none. */
  get socketUrl(): string | null {
    return this.#process || this.exists ? socketUrlIn(this.#directory) : null;
  }

  get isRunning(): boolean {
    return this.#process !== null;
  }

  /** Starts it, or takes over the one that runs. Throws EtcdError NOT_INSTALLED. */
  async start(beginning: Beginning = { state: 'existing', others: {} }): Promise<void> {
    const { say } = this.#options;
    this.#process ??= await EtcdProcess.open({ directory: this.#directory, member: this.#member(beginning), say });
  }

  /** Ends it in order; what it has stored stays. */
  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = null;
  }

  /** Looks after it no longer, and leaves it running: another worker takes it over. */
  async release(): Promise<void> {
    await this.#process?.release();
    this.#process = null;
  }

  /** Ends it, and deletes all that it has stored. */
  async wipe(): Promise<void> {
    await this.stop();
    await wipeEtcd(this.#directory);
  }

  #member({ state: initialState, others }: Beginning): EtcdMemberOptions {
    const { state, listen, address } = this.#options;
    const { cluster, host } = state.identity;
    const [own, listenAt] = [address(), formatHostPort(listen)];
    const file = (name: keyof typeof CREDENTIAL_FILES) => join(state.path, TLS_DIRECTORY, CREDENTIAL_FILES[name]);
    return {
      ...{ name: host, peerUrl: peerUrl(own), clientUrl: clientUrl(own), initialState, token: cluster },
      ...{ listenPeerUrl: peerUrl(listenAt), listenClientUrl: clientUrl(listenAt) },
      initialCluster: { ...others, [host]: peerUrl(own) },
      tls: { caFile: file('authorityCertificate'), certFile: file('certificate'), keyFile: file('privateKey') },
    };
  }
}
