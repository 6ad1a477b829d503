import { MEMBERS, NETWORK, POWER, STORE } from './kinds.js';
import type { Mutant } from './mutant.js';

const ADMISSION = 'lib/replication/admission.js';
const MEMBER = 'lib/replication/member.js';
const LISTS = 'lib/replication/list-difference.js';
const RECOVERY = 'lib/replication/recovery.js';

/** Of a host that has copies, or makes them complete. */
export const MEMBER_MUTANTS: readonly Mutant[] = [
  {
    name: "no adopting of the asker's map",
    why: "Whoever is asked for its list adopts the asker's map first.",
    kinds: STORE,
    tests: ['member'],
    scenario: 'a-copy-joins-those-that-have-not-heard-of-it',
    edits: [
      {
        file: ADMISSION,
        find: 'default: {\n                if (request.epoch > this.map.epoch)',
        replace: 'default: {\n                if (false)',
      },
    ],
  },
  {
    name: 'a list not behind the writes accepted',
    why: 'Whoever is asked for its list answers behind the writes it has accepted.',
    kinds: MEMBERS,
    tests: ['member'],
    edits: [
      {
        file: MEMBER,
        find: 'return !this.#isChanging(({ disk, copies, pg }) => isSameGroup(request, { disk, copies, pg }));',
        replace: 'return true;',
      },
    ],
  },
  {
    name: 'a fence not behind the writes accepted',
    why: 'They adopt the generation and answer behind the writes they have accepted.',
    kinds: MEMBERS,
    tests: ['member'],
    edits: [
      {
        file: MEMBER,
        find: 'return !this.#isChanging((change) => change.vdi === request.vdi);',
        replace: 'return true;',
      },
    ],
  },
  {
    name: 'an old generation served',
    why: 'A lower generation is refused: a write for good, a read until its sender has fetched the VDI anew.',
    kinds: MEMBERS,
    tests: ['member'],
    seeds: [1],
    edits: [
      {
        file: ADMISSION,
        find: "if (generation < known.generation)\n            return { reason: 'generation', generation: known.generation };",
        replace: '',
      },
    ],
  },
  {
    name: 'a stale cached generation',
    why: 'A host drops all that it cached of generations with the first map that has its new incarnation up.',
    kinds: STORE,
    tests: ['member'],
    edits: [{ file: ADMISSION, find: 'this.#writers.clear();', replace: '' }],
  },
  {
    name: 'active objects read while nobody keeps them equal',
    why: 'A read that meets an active object while the present holder is gone has it made equal first.',
    scenario: 'a-holder-dies-with-a-write-under-way',
    edits: [
      {
        file: ADMISSION,
        find: 'return this.#port.isActive(request) ?',
        replace: 'return false ?',
      },
    ],
  },
  {
    name: 'late data of a dead session',
    why: 'Before the first request of a new session, the receiver closes the older ones and finishes or drops what came.',
    kinds: NETWORK,
    tests: ['member'],
    scenario: 'a-write-comes-late-by-a-session-that-is-lost',
    edits: [
      {
        file: MEMBER,
        find: 'if (asker.session < (this.#sessions.get(asker.host) ?? 0))\n            return;',
        replace: '',
      },
    ],
  },
  {
    name: 'no pull before write',
    why: 'While an index is on the list, any write, discard or hole for it pulls it first.',
    kinds: MEMBERS,
    scenario: 'a-member-answers-a-write-and-makes-its-copy-equal-to-one-without-it',
    edits: [{ file: MEMBER, find: 'if (!this.#port.isToDo(request))', replace: 'if (true)' }],
  },
  {
    name: 'a write applied before the to-do list is stored',
    why: 'Until that list is stored, every index counts as on it.',
    kinds: MEMBERS,
    scenario: 'a-copy-is-told-to-retire-what-it-has-still-to-pull',
    edits: [{ file: RECOVERY, find: 'return !joining.listed || ', replace: 'return joining.listed && ' }],
  },
  {
    name: 'a new list in the same stay',
    why: 'It leaves the list when installed, and is not pulled again in this stay.',
    kinds: MEMBERS,
    scenario: 'a-worker-restarts-before-its-copy-is-complete',
    edits: [
      {
        file: RECOVERY,
        find: 'joining.listed = this.#disk.toDo.isStored(group, stay);',
        replace: 'joining.listed = false;',
      },
    ],
  },
  {
    name: '"deleted because not listed" without the pull',
    why: 'Pulling an index deletes what the source lacks; nothing is deleted in any other way.',
    kinds: MEMBERS,
    scenario: 'a-copy-has-what-the-others-removed-and-made-anew',
    edits: [
      {
        file: RECOVERY,
        find: 'for await (const item of differingIndexes(this.#listSource(joining), own, insync)) {',
        replace: `const theirs = [];
        for await (const entries of this.#listSource(joining)) theirs.push(entries);
        const nameOf = ({ family, index, layer }) => family + '/' + index + '/' + layer;
        const names = new Set(theirs.flat().map(nameOf));
        const mine = [];
        for await (const entries of own) mine.push(entries);
        joining.unlisted = mine.flat().filter((each) => !names.has(nameOf(each)));
        const left = mine.map((entries) => entries.filter((each) => names.has(nameOf(each))));
        async function* again() { yield* theirs; }
        for await (const item of differingIndexes(again(), left, insync)) {`,
      },
      {
        file: RECOVERY,
        find: 'await this.#work(joining);',
        replace: `await this.#work(joining);
        if (stop.signal.aborted) return;
        const named = new Set((joining.unlisted ?? []).map(({ family, index, layer }) => family + '/' + index + '/' + layer));
        const gone = (joining.unlisted ?? []).flatMap(({ family, index }) => {
            return this.#disk.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
        }).filter(({ family, index, layer }) => named.delete(family + '/' + index + '/' + layer));
        await this.#disk.index.commit(() => {
            for (const { family, index, layer } of gone) {
                this.#disk.index.remove(family, index, layer);
                this.#disk.activity.forget(this.#disk.layer(family, layer), index);
            }
        });
        for (const { family, index, serial } of gone) this.#disk.files.dispose(group.pg, family, index, serial);`,
      },
    ],
  },
  {
    name: 'own active objects not on the list',
    why: 'The to-do list has all indexes with a later `modified`, and its own active ones.',
    kinds: POWER,
    scenario: 'a-copy-is-told-to-retire-what-it-has-still-to-pull',
    edits: [
      { file: LISTS, find: ' || mine.active;', replace: ';' },
      {
        file: RECOVERY,
        find: 'if (layout.has(family) && layout.groupOf(family, index) === group.pg)',
        replace: 'if (false)',
      },
    ],
  },
  {
    name: '"done" before the sync',
    why: '"Done" is reported after everything pulled and written is on disk.',
    kinds: POWER,
    scenario: 'a-copy-became-complete-and-all-power-is-cut',
    edits: [{ file: RECOVERY, find: 'await this.#disk.flushAll();', replace: '' }],
  },
  {
    name: 'retirement of what is still to be pulled',
    why: 'While an index is on the list, retirement of it is ignored.',
    kinds: POWER,
    scenario: 'a-copy-is-told-to-retire-what-it-has-still-to-pull',
    edits: [
      {
        file: 'lib/replication/disk-work.js',
        find: '!recovery.isToDo({ copies, pg }, family, index)',
        replace: 'true',
      },
    ],
  },
];
