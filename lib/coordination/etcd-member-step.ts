import type { EtcdMember } from './etcd-administration.js';
import type { EtcdHost } from './etcd-wanted.js';

/** A member as etcd lists it. */
export interface SeenMember extends EtcdMember {
  /** It answers, and has a leader. */
  isHealthy: boolean;
}

export type MemberStep =
  | { type: 'add'; host: string; peerUrl: string }
  | { type: 'promote'; id: string }
  | { type: 'remove'; id: string; why: string }
  | { type: 'update'; id: string; peerUrl: string }
  /** Something is to be done, but not now. */
  | { type: 'wait'; why: string }
  /** All is as it should be. */
  | { type: 'none' };

/**
 * The next change of etcd's members, at most one at a time, and only while all those that it does not concern are
 * healthy: a majority must be left also if the change goes wrong. Removing a dead one comes before adding another, as
 * that leaves the majority as it is; removing a live one comes after.
 *
 * @param hosts all that belong to the cluster.
 * @param wanted hosts that are to run a member, of wantedMembers.
 */
export function nextMemberStep(
  hosts: readonly EtcdHost[],
  wanted: readonly string[],
  members: readonly SeenMember[],
): MemberStep {
  // Whoever asked knows of no host, not even its own.
  if (wanted.length === 0) return { type: 'wait', why: 'no host is known that can run a member' };
  const find = (member: SeenMember) => hostOf(member, hosts);
  const isWanted = (member: SeenMember) => wanted.includes(find(member)?.id ?? '');
  const voters = members.filter(({ isLearner }) => !isLearner);
  const sick = voters.filter(({ isHealthy }) => !isHealthy);
  /** The step, once all voters but this one are healthy. */
  const unlessSick = (step: MemberStep, concerned?: SeenMember): MemberStep => {
    const other = sick.find((member) => member !== concerned);
    return other ? { type: 'wait', why: `member ${nameOf(other)} does not answer` } : step;
  };

  const moved = members.find((member) => find(member) && !member.peerUrls.includes(find(member)!.peerUrl));
  if (moved) return unlessSick({ type: 'update', id: moved.id, peerUrl: find(moved)!.peerUrl }, moved);

  const learner = members.find(({ isLearner }) => isLearner);
  if (learner) {
    if (!isWanted(learner)) return { type: 'remove', id: learner.id, why: 'it is not wanted any more' };
    if (!find(learner)!.isUp)
      return { type: 'remove', id: learner.id, why: 'its host went down before it had caught up' };
    return unlessSick({ type: 'promote', id: learner.id });
  }

  const dead = sick.find((member) => !isWanted(member));
  if (dead && voters.length > 1) return unlessSick({ type: 'remove', id: dead.id, why: 'its host is gone' }, dead);

  const missing = wanted.filter((id) => !members.some((member) => find(member)?.id === id));
  if (missing.length > 0) {
    const host = hosts.find(({ id, isUp }) => isUp && missing.includes(id));
    if (!host) return { type: 'wait', why: `host ${missing[0]} is down` };
    return unlessSick({ type: 'add', host: host.id, peerUrl: host.peerUrl });
  }

  const surplus = voters.find((member) => !isWanted(member));
  if (surplus && voters.length > 1) {
    return unlessSick({ type: 'remove', id: surplus.id, why: 'it is not wanted any more' });
  }
  return { type: 'none' };
}

export type MemberDuty =
  /** Run the member with the data that is there. */
  | 'run'
  /** Delete what data is there, and start as the member that was added. */
  | 'join'
  /** End the member and delete its data. */
  | 'stop'
  /** The data of the member is gone: it must not vote again. Remove it; it is added anew then. */
  | 'lost';

/** What there is in the directory of a host's member. */
export interface MemberData {
  exists: boolean;
  /** Of the member for which it was begun, where that was added to others. */
  joined: string | null;
}

/** What a host has to do about its own member. */
export function memberDuty(host: EtcdHost, members: readonly EtcdMember[], data: MemberData): MemberDuty {
  if (members.some(({ name }) => name === host.id)) return data.exists ? 'run' : 'lost';
  const added = members.find(({ name, peerUrls }) => name === '' && peerUrls.includes(host.peerUrl));
  if (!added) return 'stop';
  // It has started, and the others have not heard of that yet.
  return data.joined === added.id ? 'run' : 'join';
}

/** What a member that joins has to be told of the others, and of itself: `initialCluster` of its options. */
export function initialClusterOf(host: EtcdHost, members: readonly EtcdMember[]): Record<string, string> {
  const named = members.map(({ name, peerUrls }) => [name === '' ? host.id : name, peerUrls[0]!]);
  return Object.fromEntries(named);
}

/** A member that has not started yet has no name, but an address. */
function hostOf({ name, peerUrls }: EtcdMember, hosts: readonly EtcdHost[]): EtcdHost | undefined {
  if (name !== '') return hosts.find(({ id }) => id === name);
  return hosts.find(({ peerUrl }) => peerUrls.includes(peerUrl));
}

function nameOf({ name, peerUrls }: EtcdMember): string {
  return name === '' ? peerUrls.join() : name;
}
