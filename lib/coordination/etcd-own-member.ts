import type { EtcdAdministration, EtcdMember } from './etcd-administration.js';
import type { EtcdMemberOptions } from './etcd-arguments.js';
import { memberData, prepareToJoin } from './etcd-data.js';
import { initialClusterOf, memberDuty } from './etcd-member-step.js';
import { EtcdProcess, wipeEtcd } from './etcd-process.js';
import type { EtcdHost } from './etcd-wanted.js';

export interface EtcdOwnMemberOptions {
  /** Of the member: data, socket, log. */
  directory: string;
  administration: Pick<EtcdAdministration, 'remove'>;
  /** What is the same whenever it starts: where it listens, the cluster's token, certificates. */
  member: Pick<EtcdMemberOptions, 'listenPeerUrl' | 'listenClientUrl' | 'token' | 'tls'>;
  say(message: string): void;
  binary?: string;
}

/** Runs, on this host, the member of etcd that the cluster has for it; none when it has none. */
export class EtcdOwnMember {
  readonly #options: EtcdOwnMemberOptions;
  #process: EtcdProcess | null = null;
  /** Its two addresses, with which it runs. */
  #addresses = '';

  constructor(options: EtcdOwnMemberOptions) {
    this.#options = options;
  }

  /** Null while there is none. */
  get process(): EtcdProcess | null {
    return this.#process;
  }

  /** Starts a cluster whose first and only member this is, or goes on with that. Throws EtcdError NOT_INSTALLED. */
  begin(host: EtcdHost): Promise<void> {
    return this.#run(host, { [host.id]: host.peerUrl }, 'new');
  }

  /**
   * Goes on with the data that is there, before anybody can be asked whether it still is a member. Does nothing when
   * there is none. Throws EtcdError NOT_INSTALLED.
   */
  async resume(host: EtcdHost): Promise<void> {
    const data = await memberData(this.#options.directory);
    if (data.exists) await this.#run(host, { [host.id]: host.peerUrl }, 'existing');
  }

  /**
   * Does what follows from the members that etcd has now: starts, joins, ends. To be called one after another, again
   * and again.
   *
   * @param host this one, at its present addresses.
   * @param members as EtcdAdministration.members answered: what one member by itself takes for them will not do.
   *
   * Throws EtcdError, and CoordinationError as etcd does.
   */
  async follow(host: EtcdHost, members: readonly EtcdMember[]): Promise<void> {
    const { directory, administration, say } = this.#options;
    const own = members.find(
      ({ name, peerUrls }) => name === host.id || (name === '' && peerUrls.includes(host.peerUrl)),
    );
    switch (memberDuty(host, members, await memberData(directory))) {
      case 'run':
        return this.#run(host, initialClusterOf(host, members), 'existing');
      case 'join':
        await this.release();
        await prepareToJoin(directory, own!.id);
        return this.#run(host, initialClusterOf(host, members), 'existing');
      case 'stop':
        await this.release();
        return wipeEtcd(directory);
      case 'lost':
        say('the data of this host’s member of etcd is gone: it is removed, and added anew');
        await this.release();
        await wipeEtcd(directory);
        return administration.remove(own!.id);
    }
  }

  /** Looks after it no longer, and leaves it running. */
  async release(): Promise<void> {
    await this.#process?.release();
    this.#process = null;
  }

  /** Ends it; what it has stored stays. */
  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = null;
  }

  async #run(host: EtcdHost, initialCluster: Record<string, string>, initialState: 'new' | 'existing'): Promise<void> {
    const { directory, member, say, binary } = this.#options;
    const { id, peerUrl, clientUrl } = host;
    const addresses = `${peerUrl} ${clientUrl}`;
    if (this.#process && this.#addresses === addresses) return;
    await this.release();
    this.#process = await EtcdProcess.open({
      ...{ directory, say, binary },
      member: { ...member, name: id, peerUrl, clientUrl, initialCluster, initialState },
    });
    this.#addresses = addresses;
  }
}
