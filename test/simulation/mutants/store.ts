import { DISKS, MEMBERS, MOVES, NETWORK, POWER } from './kinds.js';
import type { Mutant } from './mutant.js';

/** Of one disk. */
export const STORE_MUTANTS: readonly Mutant[] = [
  {
    name: 'no activity log',
    why: 'Before a replica applies the first write to an object it records durably that the object is active.',
    kinds: POWER,
    scenario: 'a-copy-is-told-to-retire-what-it-has-still-to-pull',
    edits: [
      {
        file: 'lib/store/activity-log.js',
        find: 'this.#index.putActive(layer.family, index, layer.layer, active);',
        replace: '',
      },
    ],
  },
  {
    name: 'a late retirement obeyed',
    why: 'A replica that took a later write ignores the retirement.',
    kinds: NETWORK,
    tests: ['store-activity'],
    edits: [{ file: 'lib/store/retirement.js', find: ' && !isLater(active, object) ? active', replace: ' ? active' }],
  },
  {
    name: 'a pull that does not inherit activity',
    why: 'An object that is active at the source is recorded active before its data is installed.',
    kinds: MEMBERS,
    tests: ['store-pull'],
    scenario: 'a-pull-brings-a-write-that-only-its-source-has',
    edits: [
      {
        file: 'lib/store/pull-install.js',
        find: 'if (order) {',
        replace: 'if (order && state.active.has(index)) {',
      },
    ],
  },
  {
    name: 'activity forgotten before what was pulled is on disk',
    why: 'The commit that announces an object whose data was pulled marks it unsynced until its file is synced.',
    kinds: POWER,
    tests: ['store-pull'],
    edits: [
      {
        file: 'lib/store/pull-install.js',
        find: 'if (files.length + stale.length === 0) {',
        replace: 'if (true) {',
      },
    ],
  },
  {
    name: '`modified` of active objects not raised',
    why: 'Whoever adopts a changed `since` raises it for its active objects, before it answers anything.',
    kinds: POWER,
    tests: ['store-activity'],
    seeds: [18],
    edits: [
      {
        file: 'lib/store/raise-modified.js',
        find: 'if (since !== null && active.modified < since)',
        replace: 'if (false)',
      },
    ],
  },
  {
    name: 'a torn copy-on-write not marked unsynced',
    why: 'The commit that announces an object whose data was copied marks it unsynced: a torn copy never hides its parent.',
    kinds: POWER,
    tests: ['store-power'],
    scenario: 'power-cut-of-copies-made-on-a-first-write',
    edits: [
      {
        file: 'lib/store/object-create.js',
        find: 'if (copied)\n            disk.index.markUnsynced(',
        replace: 'if (false)\n            disk.index.markUnsynced(',
      },
    ],
  },
  {
    name: 'a torn pull that is not put back',
    why: 'What such an object replaces is kept until the commit that clears the mark, so that a discard puts it back.',
    kinds: POWER,
    tests: ['store-pull'],
    edits: [
      {
        file: 'lib/store/pull-install.js',
        find: 'if (files.length > 0)\n            disk.replaced.putWithin(place, outcome.replaced);',
        replace: '',
      },
    ],
  },
  {
    name: 'a restarted worker that flushes without syncing its disks',
    why: "A worker that starts syncs each disk's file system before it answers its first flush or reports done.",
    kinds: POWER,
    tests: ['store-power'],
    scenario: 'workers-restart-before-a-flush',
    edits: [
      {
        file: 'lib/store/predecessor.js',
        find: 'await system.syncFilesystem(disk.anchor.fd);',
        replace: '',
      },
    ],
  },
  {
    name: 'an `fdatasync` tried again',
    why: 'An `fdatasync` that fails takes the disk out; it is not tried again.',
    kinds: DISKS,
    scenario: 'a-disk-fails-to-sync-and-its-host-loses-power',
    edits: [
      {
        file: 'lib/store/file-io.js',
        find: 'await this.call((done) => this.files.fdatasync(fd, done));',
        // The second time the kernel has nothing left to write, and says that all is well.
        replace: `const sync = () => this.#settle((done) => this.files.fdatasync(fd, done));
            await sync().catch(() => sync().catch(() => undefined));`,
      },
    ],
  },
  {
    name: 'a merge that forgets both on a power cut',
    why: 'What such an object replaces is kept until it is on disk: a torn merge never loses both.',
    kinds: POWER,
    tests: ['store-power'],
    administration: 0.1,
    edits: [
      {
        file: 'lib/store/object-merge.js',
        find: 'if (disk.index.isUnsynced(family, index, layer) || disk.index.isUnsynced(family, index, child)) {',
        replace: 'if (false) {',
      },
    ],
  },
  {
    name: 'deletion before the record is erased',
    why: 'A former member durably erases its own record of having been in sync before the first deletion.',
    kinds: MOVES,
    tests: ['former-copies'],
    edits: [{ file: 'lib/store/delete-group.js', find: 'await disk.groups.eraseInsync(group);', replace: '' }],
  },
];
