import { MEMBERS, POWER } from './kinds.js';
import type { Mutant } from './mutant.js';

const WRITER = 'lib/replication/writer.js';
const ROLE = 'lib/replication/role.js';
const FENCE = 'lib/replication/fence.js';
const EQUALIZER = 'lib/replication/equalizer.js';

/** Of who holds an image's writer role, or takes it. */
export const WRITER_MUTANTS: readonly Mutant[] = [
  {
    name: 'no fence',
    why: 'The hosts that replicate it adopt the generation and answer with their active objects.',
    kinds: MEMBERS,
    scenario: 'a-holder-dies-with-a-write-under-way',
    edits: [
      {
        file: FENCE,
        find: 'async ask(map, generation, incarnation) {',
        replace: 'async ask(map, generation, incarnation) {\n        return [];',
      },
    ],
  },
  {
    name: 'a restarted worker that resumes its role without a fence',
    why: 'A worker that restarts takes its roles anew, with a fence.',
    scenario: 'a-guest-is-told-that-its-write-is-lost',
    edits: [
      { file: ROLE, find: 'if (isOurs && record.clean) {', replace: 'if (holder?.host === host) {' },
      {
        file: ROLE,
        find: '{ ...record, clean: false }',
        replace: '{ ...record, holder: { host, incarnation }, clean: false }',
      },
    ],
  },
  {
    name: 'an open handle of a fenced writer served again',
    why: 'Older write handles of that host answer EIO for good.',
    scenario: 'a-guest-is-told-that-its-write-is-lost',
    edits: [
      {
        file: ROLE,
        find: 'if ((this.#fenced[this.#context.host] ?? 0) > opened)',
        replace: 'if (opened === undefined)',
      },
    ],
  },
  {
    name: 'acknowledging around a dead member',
    why: 'A member that does not answer holds the write up. Nothing is acknowledged around it.',
    kinds: MEMBERS,
    scenario: 'a-holder-dies-with-a-write-under-way',
    edits: [
      {
        file: WRITER,
        find: 'if (operation.asked.size === 0)\n            this.#end(operation);',
        replace: `if (operation.asked.size > (operation.only === null ? 1 : 0))
            return;
        for (const left of operation.asked.values())
            this.#requests.delete(left.request);
        this.#end(operation);`,
      },
    ],
  },
  {
    name: 'answers under an old `since` counted',
    why: 'It is done when every member of `acting` has answered under the present `since`.',
    kinds: MEMBERS,
    scenario: 'a-member-answers-a-write-and-makes-its-copy-equal-to-one-without-it',
    edits: [
      { file: WRITER, find: 'operation.answers.clear();', replace: '' },
      {
        file: WRITER,
        find: 'operation.asked.set(disk, request);',
        replace:
          'if (operation.answers.has(disk))\n                continue;\n            operation.asked.set(disk, request);',
      },
      {
        file: WRITER,
        find: 'for (const [disk, request] of operation.asked)\n            this.#port.send(disk, request);',
        replace: `for (const [disk, request] of operation.asked)
            this.#port.send(disk, request);
        if (operation.asked.size === 0 && operation.answers.size > 0)
            this.#changeAnswered(operation, -1, null);`,
      },
    ],
  },
  {
    name: 'answers to a flush under an old `since` counted',
    why: 'After a change of `since`, every incomplete write and flush goes again to all of the new `acting`.',
    kinds: POWER,
    tests: ['writer'],
    edits: [{ file: WRITER, find: 'if (flushed.since <= request.since)', replace: '' }],
  },
  {
    name: 'retiring before the flush',
    why: 'An object may be retired when no write to it was unanswered since a flush began that all of `acting` answered.',
    kinds: POWER,
    tests: ['writer'],
    scenario: 'power-cut-while-a-flush-is-under-way',
    edits: [
      {
        file: WRITER,
        find: 'this.#flushes.add(flush);',
        replace: `this.#flushes.add(flush);
            this.#retireBatch([...this.#active].filter((object) => object.outstanding === 0));`,
      },
    ],
  },
  {
    name: 'retiring on "nothing in flight"',
    why: 'An object may be retired when no write to it was sent since a flush began that all of `acting` answered.',
    kinds: POWER,
    scenario: 'power-cut-of-what-was-answered-and-not-flushed',
    edits: [
      {
        file: WRITER,
        find: 'isCovered(object, flushNumber) && flushSince === this.#group(object.pg).since;',
        replace: 'object.outstanding === 0;',
      },
      {
        file: WRITER,
        find: 'operation.resolve(operation.answers);',
        replace: 'operation.resolve(operation.answers);\n        this.retire();',
      },
    ],
  },
  {
    name: 'retiring after a flush under an old `since`',
    why: 'An object may be retired after a flush that all of `acting` answered under the present `since`.',
    kinds: POWER,
    tests: ['writer'],
    edits: [{ file: WRITER, find: ' && flushSince === this.#group(object.pg).since;', replace: ';' }],
  },
  {
    name: 'reconcile of in-sync members only',
    why: 'Those are then made equal from one in-sync member to all of `acting`.',
    kinds: MEMBERS,
    scenario: 'a-write-reaches-a-copy-that-is-not-complete',
    edits: [
      {
        file: EQUALIZER,
        find: 'const others = [...byDisk.values()];',
        replace: `const others = [...byDisk]
            .filter(([disk]) => this.#writer.insync(index).includes(disk))
            .map(([, layer]) => layer);`,
      },
    ],
  },
  {
    name: 'made equal under an old `since`',
    why: 'Made equal by ordinary writes of the blocks that differ; started over if `since` changes.',
    kinds: MEMBERS,
    tests: ['equalizer'],
    edits: [{ file: EQUALIZER, find: ' && this.#writer.since(index) === since)', replace: ')' }],
  },
  {
    name: 'a role handed over with writes in flight',
    why: 'It holds writes back, drains, flushes, retires, and itself stores the new holder.',
    kinds: MEMBERS,
    scenario: 'a-copy-has-what-the-others-removed-and-made-anew',
    edits: [{ file: ROLE, find: 'while (!writer.stopped && !writer.isClean) {', replace: 'while (false) {' }],
  },
];
