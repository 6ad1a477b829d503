import { MAP_TESTS } from './map-tests.js';
import type { Mutant } from './mutant.js';

const CONDUCTOR = 'lib/cluster/conductor.js';
const OBSERVER = 'lib/cluster/observer.js';
const LIVENESS = 'lib/cluster/liveness.js';
const HOST_STEPS = 'lib/cluster/host-steps.js';
const GROUP_STEPS = 'lib/cluster/group-steps.js';
const PLACEMENT_STEPS = 'lib/cluster/placement-steps.js';
const UNREACHABLE = 'lib/cluster/unreachable.js';

interface Row {
  readonly name: string;
  readonly why: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly tests?: readonly string[];
}

/** Of who makes the map, and of each of its steps: one edit each. */
const ROWS: readonly Row[] = [
  {
    name: 'a host marked down that has renewed since',
    why: 'The transaction that stores the map compares the revision of `/alive` of every host it marks down.',
    file: CONDUCTOR,
    find: '...down.map((id) => ({ key: aliveKey(id), modRevision: observer.revisionOf(id) })),',
    replace: '',
  },
  {
    name: 'a host thrown out under a map that is no more',
    why: 'Never the only in-sync member of a group.',
    file: CONDUCTOR,
    find: 'compare: [this.#isStillConductor(), { key: MAP_KEY, modRevision: mapRevision }],',
    replace: 'compare: [this.#isStillConductor()],',
  },
  {
    name: 'a conductor that is thrown out and goes on',
    why: 'Two hosts that cannot reach each other report it; what a cut-off conductor hears is its own report.',
    file: CONDUCTOR,
    find: 'if (evicted.has(this.#host) && this.#isReplaceable(nowMs))',
    replace: 'if (false)',
  },
  {
    name: 'a conductor that starts over and over and keeps the role',
    why: 'More than three incarnations of a host in a minute: its disks are out for a growing time.',
    file: CONDUCTOR,
    find: '(record.takes < TAKES_MAX || unchangedMs >= 2 * ttlMs)',
    replace: 'true',
  },
  {
    name: 'a conductor that takes the key at once',
    why: 'Others take it after seeing it unchanged for a TTL.',
    file: CONDUCTOR,
    find: 'return unchangedMs >= ttlMs;',
    replace: 'return true;',
  },
  {
    name: 'a conductor that takes over and trusts what it finds',
    why: 'The conductor calls a host fresh only when it has itself seen it renew.',
    file: OBSERVER,
    find: 'this.#lookedAtMs ?? this.#ownSinceMs(id, view.record, map);',
    replace: 'this.#lookedAtMs ?? nowMs;',
  },
  {
    name: 'disks of a host that starts over and over',
    why: 'More than three incarnations of a host in a minute: its disks are out for a growing time.',
    file: OBSERVER,
    find: 'if (total <= INCARNATIONS_PER_MINUTE_MAX)',
    replace: 'if (true)',
  },
  {
    name: 'renewing while thrown out',
    why: 'Renewing requires `/evict/<id>` absent.',
    file: LIVENESS,
    find: 'compare: [{ key: evictKey(host), modRevision: 0 }],',
    replace: 'compare: [],',
  },
  {
    name: 'half a time to live',
    why: 'The conductor calls a host down when it has itself seen the value unchanged for a full TTL.',
    file: HOST_STEPS,
    find: 'observed.unchangedMs < draft.options.ttlMs',
    replace: 'observed.unchangedMs < draft.options.ttlMs / 2',
  },
  {
    name: 'a rebooted host comes up where its copies are counted on',
    why: 'A host that reboots leaves `acting` and `insync` and recovers.',
    file: HOST_STEPS,
    find: 'if (disks.some((disk) => relied.has(disk)))',
    replace: 'if (false)',
  },
  {
    name: 'a group that stands still and forgets who rebooted',
    why: 'Where it rebooted, only when all of `insync` are back, or after 30 s.',
    file: HOST_STEPS,
    find: 'return more.length === 0 ? group : { ...group, rebooted: [...before, ...more] };',
    replace: 'return group;',
  },
  {
    name: 'an absent disk whose host dies is whole again',
    why: 'A disk that vanished returns always as one that rebooted.',
    file: HOST_STEPS,
    find: "return standing === 'failed' || absent;",
    replace: "return (standing === 'failed' || absent) && draft.hostOf(number)?.up;",
  },
  {
    name: 'an absent disk that returns while it is counted on',
    why: 'A disk that vanished returns always as one that rebooted.',
    file: HOST_STEPS,
    find: 'return wasAbsent && !mayReturn;',
    replace: 'return false;',
  },
  {
    name: 'a failed disk that returns while it is counted on',
    why: 'A disk that failed returns always as one that rebooted.',
    file: HOST_STEPS,
    find: "standing: disk.standing === 'failed' && !mayReturn ? 'failed' : standing,",
    replace: 'standing,',
  },
  {
    name: 'an old image of a disk',
    why: 'A disk that shows a lower counter is never in sync.',
    file: HOST_STEPS,
    find: 'open.opens < record.opens;',
    replace: 'false;',
  },
  {
    name: 'an old image opened as often as the disk was',
    why: 'A disk that shows a lower counter is never in sync.',
    file: 'lib/cluster/register-host.js',
    find: 'isOld ? known.opens + 1 :',
    replace: '',
    tests: ['register-host', ...MAP_TESTS],
  },
  {
    name: 'a banned host comes up',
    why: 'Its id and disks are banned for ever.',
    file: HOST_STEPS,
    find: '(draft.records.get(id)?.banned ?? true)',
    replace: '!draft.records.has(id)',
  },
  {
    name: 'a group that waits for a banned host',
    why: 'Its id and disks are banned for ever.',
    file: 'lib/cluster/force-removal.js',
    find: 'const insync = group.insync.filter(isLeft);',
    replace: 'const insync = group.acting.length > 0 ? group.insync : group.insync.filter(isLeft);',
    tests: ['force-removal', ...MAP_TESTS],
  },
  {
    name: 'out of `acting` and still in `insync`',
    why: 'A map takes members out of `insync` only while one of those left has renewed: until then they get every write.',
    file: GROUP_STEPS,
    find: 'draft.isPresent(disk) || insync.includes(disk));',
    replace: 'draft.isPresent(disk));',
  },
  {
    name: 'put back with another incarnation',
    why: 'The old one, still in `acting` with the same incarnation and boot id, may be put back.',
    file: GROUP_STEPS,
    find: 'if (observed !== undefined && observed.incarnation !== incarnation)',
    replace: 'if (false)',
  },
  {
    name: 'a restart without `lossy`',
    why: 'If what restarted had rebooted, `lossy` is set to that epoch.',
    file: GROUP_STEPS,
    find: 'whole === undefined ? draft.epoch : group.lossy',
    replace: 'group.lossy',
  },
  {
    name: 'a restart under the same `since`',
    why: 'Restarting sets `since`.',
    file: GROUP_STEPS,
    find: 'since: draft.epoch, lossy };',
    replace: 'since: group.since, lossy };',
  },
  {
    name: 'a restart that waits for ever',
    why: 'Or after 30 s.',
    file: GROUP_STEPS,
    find: '>= draft.options.restartAfterMs;',
    replace: '< 0;',
  },
  {
    name: 'a copy let go before another is complete',
    why: 'Moving data never lowers the number of copies.',
    file: PLACEMENT_STEPS,
    find: 'if (draft.zonesOf(others) >= Math.min(copies, draft.zonesOf(group.insync)))',
    replace: 'if (others.length > 0)',
  },
  {
    name: 'all groups move at once',
    why: 'A bounded number of groups move at a time.',
    file: PLACEMENT_STEPS,
    find: 'if (repaired !== group || movesLeft <= 0)',
    replace: 'if (repaired !== group)',
  },
  {
    name: 'a lone copy that nobody joins',
    why: 'Or for 30 s where a group has only one copy to write to and another host could take one.',
    file: PLACEMENT_STEPS,
    find: 'if (group.acting.length !== 1 || full < 2)',
    replace: 'if (true)',
  },
  {
    name: 'the only one in sync thrown out',
    why: 'Never the only in-sync member of a group.',
    file: UNREACHABLE,
    find: 'candidates.find(({ soleCopies }) => soleCopies === 0)?.host',
    replace: 'candidates[0]?.host',
  },
  {
    name: 'a dead host thrown out',
    why: 'Two hosts that cannot reach each other while both reach the store.',
    file: UNREACHABLE,
    find: 'return unreachable.filter(renews)',
    replace: 'return unreachable',
  },
  {
    name: 'let in while it does not reach all',
    why: '`/evict` is lifted when it reaches all hosts that are up.',
    file: UNREACHABLE,
    find: 'return up.every((other) => peers.includes(other));',
    replace: 'return true;',
  },
  {
    name: 'forced removal of a host that has just been up',
    why: 'Refused unless the host has been down for a TTL.',
    file: 'lib/cluster/force-removal.js',
    find: 'if (found.up || downMs < ttlMs)',
    replace: 'if (found.up)',
  },
  {
    name: 'a record of having been in sync with what a chosen copy lacks',
    why: 'Only those whose copy is complete may be read from or recovered from.',
    file: 'lib/replication/recovery.js',
    find: 'epoch >= forced ? epoch',
    replace: 'true ? epoch',
    tests: ['recovery'],
  },
];

export const MAP_MUTANTS: readonly Mutant[] = ROWS.map(({ name, why, file, find, replace, tests = MAP_TESTS }) => {
  return { name, why, tests, edits: [{ file, find, replace }] };
});
