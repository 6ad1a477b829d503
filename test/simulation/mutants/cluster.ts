import { MAP_TESTS } from './map-tests.js';
import type { Mutant } from './mutant.js';

const LIVENESS = 'lib/cluster/liveness.js';
const FOLLOWER = 'lib/cluster/map-follower.js';
const GROUP_STEPS = 'lib/cluster/group-steps.js';
const HOST_STEPS = 'lib/cluster/host-steps.js';

/** Of the map, who makes it, and who may answer under it. */
export const CLUSTER_MUTANTS: readonly Mutant[] = [
  {
    name: 'renewal without reading the map',
    why: 'It answers only under a map at least as new as the one that its last renewal saw.',
    tests: ['liveness', 'next-map-random'],
    edits: [{ file: LIVENESS, find: 'const map = responses[1]?.[0] ?? null;', replace: 'const map = null;' }],
  },
  {
    name: 'answering after the time to live',
    why: 'It stops answering reads and writes TTL - margin after it sent the last renewal that succeeded.',
    tests: ['liveness', 'next-map-random'],
    edits: [{ file: LIVENESS, find: 'if (nowMs >= this.#answersUntilMs || ', replace: 'if (' }],
  },
  {
    name: "a peer's older map adopted",
    why: "A host's adopted epoch is stored and never goes down.",
    tests: ['map-follower'],
    edits: [
      {
        file: FOLLOWER,
        find: 'if (map.epoch <= (this.#newest?.map.epoch ?? this.#map.epoch) || map.epoch < this.#options.adoptedEpoch)',
        replace: 'if (map.epoch === (this.#newest?.map.epoch ?? this.#map.epoch))',
      },
      {
        file: FOLLOWER,
        find: 'while (this.#newest && this.#newest.map.epoch > this.#map.epoch',
        replace: 'while (this.#newest && this.#newest.map !== this.#map',
      },
    ],
  },
  {
    name: 'a host that flaps and keeps its incarnation',
    why: 'A host that was down comes up only with a higher incarnation.',
    tests: MAP_TESTS,
    edits: [
      { file: LIVENESS, find: 'if (found.up && found.incarnation === ', replace: 'if (found.incarnation === ' },
      {
        file: HOST_STEPS,
        find: 'observed.incarnation <= host.incarnation',
        replace: 'observed.incarnation < host.incarnation',
      },
    ],
  },
  {
    name: 'a rebooted member that keeps its place',
    why: 'A host that reboots leaves `acting` and `insync` and recovers.',
    tests: MAP_TESTS,
    edits: [
      { file: HOST_STEPS, find: ' && !hasRebooted(host, observed)', replace: '' },
      { file: HOST_STEPS, find: 'if (bootId !== host.bootId) {', replace: 'if (false) {' },
    ],
  },
  {
    name: 'members taken out of `insync` one expiry after another in a power cut',
    why: 'A map takes members out of `insync` only while one of those left has renewed within TTL/2.',
    tests: MAP_TESTS,
    edits: [
      {
        file: GROUP_STEPS,
        find: 'return left.some((disk) => draft.isFresh(disk));',
        replace: 'return left.length > 0;',
      },
    ],
  },
  {
    name: 'a group restarted by two members',
    why: 'The group restarts with exactly one member of `insync` as the new `insync`; the others join and recover.',
    tests: MAP_TESTS,
    edits: [
      {
        file: GROUP_STEPS,
        find: '[first, ...others], [first], others)',
        replace: '[first, ...others], [first, ...others])',
      },
    ],
  },
  {
    name: 'a group restarted at once by a member that rebooted',
    why: 'Where it rebooted, only when all of `insync` are back, or after 30 s.',
    tests: MAP_TESTS,
    edits: [{ file: GROUP_STEPS, find: 'if (group.insync.every((disk) => present.includes(disk)))', replace: '' }],
  },
  {
    name: 'letting go in one map',
    why: 'The first takes the old member out of `insync` only: it still receives every write.',
    tests: MAP_TESTS,
    edits: [
      {
        file: GROUP_STEPS,
        find: 'return withMembers({ ...group, leaving }, draft.epoch, group.acting, insync);',
        replace: 'return withMembers(group, draft.epoch, group.acting.filter((member) => member !== disk), insync);',
      },
    ],
  },
  {
    name: 'the second map of letting go before the first is adopted',
    why: 'The second takes it out of `acting` when its heartbeat shows that it adopted the first.',
    tests: MAP_TESTS,
    edits: [
      {
        file: GROUP_STEPS,
        find: 'leaving === undefined || (draft.observedOf(disk)?.adopted ?? 0) < leaving.epoch',
        replace: 'leaving === undefined || leaving.epoch === draft.epoch',
      },
    ],
  },
  {
    name: 'a report of an earlier stay counted',
    why: "Its report counts only if its incarnation and the epoch in which it joined `acting` are the map's.",
    tests: MAP_TESTS,
    edits: [
      {
        file: GROUP_STEPS,
        find: 'group.joined?.[disk] === report.joined',
        replace: 'group.joined?.[disk] !== undefined',
      },
      { file: GROUP_STEPS, find: 'if (draft.hostOf(disk).incarnation !== report.incarnation)', replace: 'if (false)' },
    ],
  },
  {
    name: 'forced removal without `lossy`',
    why: 'The chosen copy restarts the group with `lossy`.',
    tests: MAP_TESTS,
    edits: [
      {
        file: 'lib/cluster/force-removal.js',
        find: 'since: epoch, lossy: epoch, forced: epoch }',
        replace: 'since: epoch, lossy: 0, forced: epoch }',
      },
    ],
  },
];
