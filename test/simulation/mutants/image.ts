import { LAYERS } from './kinds.js';
import type { Mutant } from './mutant.js';

/** Images are cloned, cut, deleted and so on so much more often than else. */
const ADMINISTRATION = 0.1;

/** Of images on several hosts. */
export const IMAGE_MUTANTS: readonly Mutant[] = [
  {
    name: 'shrink without its limit',
    why: "Shrinking lowers the top layer's limit, so that growing again reads zeros.",
    administration: ADMINISTRATION,
    edits: [{ file: 'lib/vdi/vdi.js', find: ' : setLimit(found.record, top, limit)', replace: ' : found.record' }],
    tests: ['vdi', 'vdi-hosts'],
  },
  {
    name: 'shrink of a layer that is being merged into',
    why: "A merge honours the child's limit (beyond it nothing moves).",
    kinds: LAYERS,
    administration: ADMINISTRATION,
    scenario: 'an-image-is-cut-while-a-layer-is-merged',
    edits: [
      {
        file: 'lib/vdi/vdi.js',
        find: 'const isMerging = found.record.merging.some(({ child }) => child === top);',
        replace: 'const isMerging = false;',
      },
    ],
  },
  {
    name: 'size without its bound',
    why: '`bound` is raised, in big steps, before a write beyond it is acknowledged.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    edits: [{ file: 'lib/vdi/vdi.js', find: 'if (end > this.#view.record.bound)', replace: 'if (false)' }],
    tests: ['vdi', 'vdi-hosts'],
  },
  {
    name: 'a role given away without the size',
    why: 'It drains, flushes, retires, and itself stores the new holder with generation + 1, the size and `clean`.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    edits: [
      {
        file: 'lib/replication/role.js',
        find: 'this.#store.replace(next, stored.revision, settled)',
        replace: 'this.#store.replace(next, stored.revision)',
      },
      {
        file: 'lib/vdi/vdi.js',
        find: 'size = Math.max(stored, Math.min(bound, end));',
        replace: 'size = stored;',
      },
    ],
    tests: ['vdi-hosts'],
  },
  {
    name: 'a role given away before its taker knows the size',
    why: 'A takeover finds the size from the highest object below `bound`.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    edits: [
      {
        file: 'lib/replication/role.js',
        find: 'if (this.#taking || this.#releasing)\n            return false;',
        replace: '',
      },
    ],
    tests: ['vdi-hosts'],
  },
  {
    name: 'a snapshot while a group has stopped',
    why: 'Snapshot, clone, rollback, merge wait until all that the last fence found is equal and flushed.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    edits: [
      {
        file: 'lib/replication/role.js',
        find: 'if (!writer.isOlderDone || writer.isStopped)\n            return null;',
        replace: '',
      },
    ],
    tests: ['vdi-hosts'],
  },
  {
    name: 'overlapping writes in flight',
    why: 'The writer sends no write, discard or truncation that overlaps one in flight until that one is done.',
    edits: [
      {
        file: 'lib/vdi/range-lock.js',
        find: 'if (range.start < end && start < range.end)',
        replace: 'if (false)',
      },
    ],
    tests: ['vdi'],
  },
  {
    name: 'merging without waiting for absent disks',
    why: 'Every disk deletes it, those that are down or absent too, and it is forgotten when all disks have confirmed.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    edits: [
      {
        file: 'lib/vdi/family.js',
        find: 'return disks.every((disk) => known.has(disk));',
        replace: 'return disks.some((disk) => known.has(disk));',
      },
    ],
    tests: ['vdi-hosts'],
  },
  {
    name: 'a pull that brings back what is given up',
    why: 'What the puller knows of doomed and merging layers is applied in the same commit.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    scenario: 'a-copy-pulls-from-a-host-that-has-not-heard-of-a-merge',
    edits: [
      {
        file: 'lib/replication/layer-rules.js',
        find: 'if (doomed.size === 0 && merging.length === 0)',
        replace: 'if (true)',
      },
    ],
  },
  {
    name: 'copies compared while some have merged and others not',
    why: 'Those are then made equal, from one in-sync member to all of `acting`.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    scenario: 'a-layer-is-merged-on-one-host-and-not-yet-on-another',
    edits: [
      {
        file: 'lib/replication/layer-work.js',
        find: 'for (const { layer, child, limit } of merging)',
        replace: 'for (const { layer, child, limit } of [])',
      },
      {
        file: 'lib/replication/layer-rules.js',
        find: 'return merging.map(',
        replace: "return ''; merging.map(",
      },
    ],
  },
  {
    name: 'copies made equal by what was found before a merge',
    why: 'Those are then made equal, from one in-sync member to all of `acting`.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    scenario: 'a-copy-is-to-be-made-equal-and-a-layer-was-merged-meanwhile',
    edits: [
      {
        file: 'lib/replication/disk-work.js',
        find: 'inspected?.era !== this.#era(chain.family)',
        replace: 'false',
      },
    ],
  },
  {
    name: "a snapshot before the last fence's objects are equal",
    why: 'Snapshot, clone, rollback, merge and a `clean` hand-over wait until all that the last fence found is equal and flushed.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    seeds: [16],
    tests: ['vdi-hosts'],
    edits: [
      {
        file: 'lib/replication/role.js',
        find: '!this.#equalizer?.isDone || !(await this.#clean(writer))',
        replace: '!(await writer.flush(this.#options.chain()))',
      },
      {
        file: 'lib/replication/role.js',
        find: 'await this.#equalizer?.all();\n        // Nor is it known',
        replace: '// Nor is it known',
      },
      {
        file: 'lib/replication/role.js',
        find: 'if (!writer.isOlderDone || writer.isStopped)\n            return null;',
        replace: '',
      },
    ],
  },
  {
    name: 'a change of chain that not every host hears of',
    why: 'For a change of chain, every up host adopts the generation.',
    kinds: LAYERS,
    administration: ADMINISTRATION,
    edits: [
      {
        file: 'lib/replication/role.js',
        find: 'return isFresh && (await this.#beginAfterFence(writer.generation + 1, incarnation)) !== null;',
        replace:
          'return isFresh && this.#begin(writer.generation + 1, incarnation, null, this.#context.map()) !== null;',
      },
    ],
    tests: ['vdi-hosts'],
  },
  {
    name: 'a lock given away without the writer role',
    why: 'Granting a lock over one that a down host held takes the writer role by fence in the same transaction.',
    kinds: LAYERS,
    edits: [
      {
        file: 'lib/filesystem/locks.js',
        find: 'await breaker.endHandles(vdi, hosts, async (step) => {',
        replace: 'await (async (_vdi, _hosts, change) => change(null))(vdi, hosts, async () => {',
      },
      {
        file: 'lib/filesystem/locks.js',
        find: 'compare: [step.compare, ...still.compare], success: [step.put]',
        replace: 'compare: [...still.compare], success: []',
      },
    ],
    tests: ['lock-takeover'],
  },
];
