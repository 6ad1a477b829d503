import type { Coordination } from './coordination.js';
import type { EtcdAdministration, EtcdMember } from './etcd-administration.js';
import { type MemberStep, nextMemberStep, type SeenMember } from './etcd-member-step.js';
import { type EtcdHost, wantedMembers } from './etcd-wanted.js';

/** Which hosts are to run a member of etcd, and where those are reached; stored by compare-and-put. */
export const ETCD_KEY = '/etcd';

export interface EtcdRecord {
  /** The longest first. */
  members: { host: string; peerUrl: string; clientUrl: string }[];
}

export type MemberAdministration = Pick<
  EtcdAdministration,
  'members' | 'addLearner' | 'promote' | 'remove' | 'updatePeerUrl' | 'status'
>;

export interface EtcdMembersOptions {
  coordination: Coordination;
  administration: MemberAdministration;
  /** All hosts that belong to the cluster and are not to be removed, as this one knows them now. */
  hosts(): readonly EtcdHost[];
  /** Hears of each change. */
  say(message: string): void;
}

/** Throws SyntaxError or TypeError for what no release wrote. */
export function decodeEtcdRecord(value: Uint8Array): EtcdRecord {
  const record = JSON.parse(Buffer.from(value).toString()) as EtcdRecord;
  if (!Array.isArray(record.members)) throw new TypeError(`the record ${ETCD_KEY} has no members`);
  return record;
}

/**
 * Sees to it that etcd has the members that it should have. Whichever host makes the maps has it take a step every few
 * seconds; should two do so at a time, etcd refuses what does not go together.
 */
export class EtcdMembers {
  readonly #options: EtcdMembersOptions;

  constructor(options: EtcdMembersOptions) {
    this.#options = options;
  }

  /** One look, and the one change that follows from it. Rejects as etcd does: what it did shows at the next look. */
  async step(): Promise<MemberStep> {
    const { administration } = this.#options;
    const hosts = this.#options.hosts();
    const members = await administration.members();
    const wanted = await this.#want(hosts, members);
    const seen = await Promise.all(members.map((member) => this.#see(member, hosts)));
    const step = nextMemberStep(hosts, wanted, seen);
    await this.#take(step);
    return step;
  }

  /** Stores which hosts are wanted. */
  async #want(hosts: readonly EtcdHost[], members: readonly EtcdMember[]): Promise<string[]> {
    const { coordination } = this.#options;
    const found = await coordination.get(ETCD_KEY);
    const before = found
      ? decodeEtcdRecord(found.value).members.map(({ host }) => host)
      : members.map(({ name }) => name);
    const wanted = wantedMembers(hosts, before);
    const record: EtcdRecord = {
      members: wanted.map((id) => {
        const { peerUrl, clientUrl } = hosts.find((host) => host.id === id)!;
        return { host: id, peerUrl, clientUrl };
      }),
    };
    const value = Buffer.from(JSON.stringify(record));
    if (found && value.equals(found.value)) return wanted;
    const { succeeded } = await coordination.transaction({
      compare: [{ key: ETCD_KEY, modRevision: found?.modRevision ?? 0 }],
      success: [{ put: ETCD_KEY, value }],
    });
    // Another host was faster: what it wants is found at the next look.
    return succeeded ? wanted : before;
  }

  async #see(member: EtcdMember, hosts: readonly EtcdHost[]): Promise<SeenMember> {
    const url = hosts.find(({ id }) => id === member.name)?.clientUrl ?? member.clientUrls[0];
    return { ...member, isHealthy: url !== undefined && (await this.#isHealthy(url, member.id)) };
  }

  async #isHealthy(url: string, id: string): Promise<boolean> {
    try {
      const status = await this.#options.administration.status(url);
      return status.id === id && status.leader !== '0';
    } catch {
      // It does not answer.
      return false;
    }
  }

  async #take(step: MemberStep): Promise<void> {
    const { administration, say } = this.#options;
    switch (step.type) {
      case 'add':
        await administration.addLearner(step.peerUrl);
        say(`host ${step.host} gets a copy of etcd`);
        break;
      case 'promote':
        // Refused until the learner has caught up: it is asked again at the next look.
        await administration.promote(step.id);
        say(`member ${step.id} of etcd votes from now on`);
        break;
      case 'remove':
        await administration.remove(step.id);
        say(`member ${step.id} of etcd was removed: ${step.why}`);
        break;
      case 'update':
        await administration.updatePeerUrl(step.id, step.peerUrl);
        say(`member ${step.id} of etcd is at ${step.peerUrl} now`);
        break;
    }
  }
}
