import { MEMBERS, POWER, STORE } from './kinds.js';
import type { Mutant } from './mutant.js';

const DISK_WORK = 'lib/replication/disk-work.js';
const FENCE = 'lib/replication/fence.js';
const RECOVERY = 'lib/replication/recovery.js';
const UNEQUAL = 'lib/replication/unequal.js';
const WRITER = 'lib/replication/writer.js';
const WRITE_RING = 'lib/store/write-ring.js';

/** Of the rings of disks, by which a fence knows what was in flight. */
export const RING_MUTANTS: readonly Mutant[] = [
  {
    name: 'a ring trusted across a reboot',
    why: 'Valid only under the boot id in its header; where every member has a ring of unbroken boot id.',
    kinds: POWER,
    tests: ['store-ring'],
    edits: [
      { file: WRITE_RING, find: 'if (found?.bootId === bootId && !rebooted) {', replace: 'if (found) {' },
      {
        file: UNEQUAL,
        find: "return answer.ring.bootId === map.hosts[map.disks[answer.disk]?.host ?? '']?.bootId;",
        replace: 'return true;',
      },
    ],
  },
  {
    name: 'a change that is not in the ring',
    why: 'Before applying a write, each replica puts its range into a ring file.',
    kinds: MEMBERS,
    scenario: 'a-holder-dies-with-a-write-under-way',
    edits: [
      {
        file: DISK_WORK,
        find: 'ring.put(order, chain.family, index, offset, length, done, olderDone);',
        replace:
          "if (change.kind !== 'write')\n        ring.put(order, chain.family, index, offset, length, done, olderDone);",
      },
    ],
  },
  {
    name: 'a change told to be done that is in flight',
    why: 'The (generation, sequence) below which every write was answered by all of `acting`.',
    kinds: MEMBERS,
    scenario: 'a-member-that-was-down-comes-back-as-it-was',
    edits: [
      {
        file: WRITER,
        find: 'return { done: this.done, olderDone: this.#olderDone };',
        replace: 'return { done: this.#sequence, olderDone: this.#olderDone };',
      },
    ],
  },
  {
    name: 'older generations told to be done before they are equal',
    why: 'A new holder carries `done` into its generation only when that is finished.',
    kinds: MEMBERS,
    scenario: 'a-taker-dies-before-all-is-equal',
    edits: [{ file: WRITER, find: 'this.#olderDone = options.unheard === null;', replace: 'this.#olderDone = true;' }],
  },
  {
    name: 'a pull without the doubts of its source',
    why: 'Only where every present member of `acting` has a ring of its stay are its ranges all that differs.',
    kinds: MEMBERS,
    scenario: 'a-pull-takes-over-what-its-source-doubts',
    edits: [{ file: RECOVERY, find: 'this.#disk.ring?.inherit(all);', replace: '' }],
  },
  {
    name: 'the rings of some members taken for those of all',
    why: 'Where every present member of `acting` has a ring of unbroken boot id and stay, else whole active objects.',
    kinds: STORE,
    scenario: 'a-member-that-was-down-comes-back-as-it-was',
    edits: [
      {
        file: UNEQUAL,
        find: 'if (answer === undefined || !answer.ring.complete)\n        return false;',
        replace: 'if (answer === undefined)\n        return true;',
      },
      { file: FENCE, find: 'hasHeardAll(map) {', replace: 'hasHeardAll(map) {\n        return true;' },
    ],
  },
];
