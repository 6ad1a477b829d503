/** Locks between processes: POSIX, OFD and flock(2). */
import { constants } from 'node:fs';
import type { Assertions } from 'brittle';
import { type LockArguments, type LockKind, type LockType, Syscalls } from '../helpers/syscalls.js';
import { until } from '../helpers/until.js';
import type { Check, Checks, Features } from './features.js';
import { newFile, refused } from './support.js';

/** fcntl says EAGAIN; POSIX allows EACCES too. */
const TAKEN = ['EAGAIN', 'EACCES'];

/** One process with the file open once. */
class Party {
  readonly process: Syscalls;
  fd = -1;
  private readonly path: string;

  private constructor(process: Syscalls, path: string) {
    this.process = process;
    this.path = path;
  }

  static async start(t: Assertions, path: string): Promise<Party> {
    const party = new Party(Syscalls.start(), path);
    t.teardown(() => party.process.kill(), { force: true });
    party.fd = await party.open();
    return party;
  }

  open(flags: number = constants.O_RDWR): Promise<number> {
    return this.process.call('open', { path: this.path, flags });
  }

  close(fd = this.fd): Promise<null> {
    return this.process.call('close', { fd });
  }

  lock(kind: LockKind, type: LockType, options: Partial<LockArguments> = {}) {
    return this.process.call('lock', { fd: this.fd, kind, command: 'set', type, ...options });
  }

  flock(type: LockType, options: { fd?: number; wait?: boolean } = {}) {
    return this.process.call('flock', { fd: this.fd, type, ...options });
  }
}

async function parties(t: Assertions, directory: string): Promise<[Party, Party]> {
  const { path } = await newFile(t, directory);
  return [await Party.start(t, path), await Party.start(t, path)];
}

/** The same check for both kinds of byte-range locks. */
function forBothKinds(
  name: string,
  check: (kind: LockKind, a: Party, b: Party, t: Assertions) => Promise<void>,
): Checks {
  const one =
    (kind: LockKind): Check =>
    async (directory, t, features) => {
      const [a, b] = await parties(t, directory);
      if (await refuseLocks(t, features, a, kind)) return;
      await check(kind, a, b, t);
    };
  return { [`${name}Posix`]: one('posix'), [`${name}Ofd`]: one('ofd') };
}

/** Where there are no locks, asserts that; answers whether that was all. */
async function refuseLocks(t: Assertions, features: Features, party: Party, kind: LockKind): Promise<boolean> {
  if (features.locks) return false;
  await refused(t, party.lock(kind, 'write'), ['ENOSYS', 'EOPNOTSUPP', 'ENOLCK'], 'a lock');
  return true;
}

/** Waits until the lock can be had: a close or a death is told to the file system after the fact. */
async function becomesFree(what: string, attempt: () => Promise<unknown>): Promise<void> {
  await until(`${what} to end the lock`, () =>
    attempt().then(
      () => true,
      (error: { code?: string }) => {
        if (!TAKEN.includes(error.code ?? '')) throw error;
        return false;
      },
    ),
  );
}

export const lockChecks: Checks = {
  ...forBothKinds('writersExcludeOneAnother', async (kind, a, b, t) => {
    await a.lock(kind, 'write');
    await refused(t, b.lock(kind, 'write'), TAKEN, 'a second writer');
    await refused(t, b.lock(kind, 'read'), TAKEN, 'a reader');
    await a.lock(kind, 'unlock');
    await b.lock(kind, 'write');
    await refused(t, a.lock(kind, 'write'), TAKEN, 'the first again');
  }),

  ...forBothKinds('readersShare', async (kind, a, b, t) => {
    await a.lock(kind, 'read');
    await b.lock(kind, 'read');
    await refused(t, a.lock(kind, 'write'), TAKEN, 'an upgrade while another reads');
    await b.lock(kind, 'unlock');
    await a.lock(kind, 'write');
    await refused(t, b.lock(kind, 'read'), TAKEN, 'a reader after the upgrade');
    await a.lock(kind, 'read');
    await b.lock(kind, 'read');
    t.pass('a downgrade lets readers in');
  }),

  ...forBothKinds('rangesAreKeptApart', async (kind, a, b, t) => {
    await a.lock(kind, 'write', { start: 100, length: 100 });
    await b.lock(kind, 'write', { start: 0, length: 100 });
    await b.lock(kind, 'write', { start: 200, length: 2 ** 39 });
    await refused(t, b.lock(kind, 'write', { start: 199, length: 1 }), TAKEN, 'the last byte');
    await refused(t, b.lock(kind, 'write', { start: 100, length: 1 }), TAKEN, 'the first byte');
    // The middle given back splits it in two.
    await a.lock(kind, 'unlock', { start: 140, length: 20 });
    await b.lock(kind, 'write', { start: 140, length: 20 });
    await refused(t, b.lock(kind, 'write', { start: 139, length: 1 }), TAKEN, 'before the middle');
    await refused(t, b.lock(kind, 'write', { start: 160, length: 1 }), TAKEN, 'after the middle');
    // Byte ranges far beyond the file's end are what hypervisors lock.
    await a.lock(kind, 'read', { start: 2 ** 40, length: 1 });
    t.pass('and beyond the end of every file');
  }),

  ...forBothKinds('testTellsWhatStandsInTheWay', async (kind, a, b, t) => {
    const test = () => b.lock(kind, 'write', { command: 'get', start: 0, length: 1000 });
    t.is((await test())?.type, 'unlock', 'nothing');
    await a.lock(kind, 'read', { start: 10, length: 20 });
    const found = await test();
    t.alike([found?.type, found?.start, found?.length], ['read', 10, 20]);
    t.is(found?.pid, kind === 'posix' ? a.process.pid : -1, 'whose it is');
    t.is((await b.lock(kind, 'read', { command: 'get', start: 0, length: 1000 }))?.type, 'unlock', 'readers share');
    await a.lock(kind, 'write', { start: 0, length: 0 });
    const whole = await test();
    t.alike([whole?.type, whole?.start, whole?.length], ['write', 0, 0], 'up to the end of every file');
    t.is((await a.lock(kind, 'write', { command: 'get' }))?.type, 'unlock', 'its own is no hindrance');
  }),

  ...forBothKinds('waitingEndsWithTheUnlock', async (kind, a, b, t) => {
    await a.lock(kind, 'write');
    const waiting = b.lock(kind, 'write', { command: 'wait' });
    await b.process.waitBlocked();
    await a.lock(kind, 'unlock');
    await waiting;
    await refused(t, a.lock(kind, 'read'), TAKEN, 'the waiter has it');
  }),

  ...forBothKinds('waitingCanBeInterrupted', async (kind, a, b, t) => {
    await a.lock(kind, 'write');
    const waiting = b.lock(kind, 'write', { command: 'wait' });
    await b.process.waitBlocked();
    b.process.interrupt();
    await refused(t, waiting, 'EINTR', 'the wait');
    await a.lock(kind, 'unlock');
    await a.lock(kind, 'write');
    t.pass('who was interrupted has not got it');
    await a.lock(kind, 'unlock');
    await b.lock(kind, 'write');
    t.pass('and can still get it');
  }),

  ...forBothKinds('deathOfTheHolderEndsIt', async (kind, a, b, t) => {
    await a.lock(kind, 'write');
    await refused(t, b.lock(kind, 'write'), TAKEN, 'while it lives');
    await a.process.kill();
    await becomesFree('a death', () => b.lock(kind, 'write'));
    t.pass('the other gets it');
  }),

  ...forBothKinds('deathOfAWaiterLeavesNothing', async (kind, a, b, t) => {
    await a.lock(kind, 'write');
    const waiting = refused(
      t,
      b.lock(kind, 'write', { command: 'wait' }),
      ['the process that carries out system calls has ended'],
      'the wait',
    );
    await b.process.waitBlocked();
    await b.process.kill();
    await waiting;
    await a.lock(kind, 'unlock');
    await a.lock(kind, 'write');
    t.pass('the lock does not go to the dead');
  }),

  ...forBothKinds('closeEndsIt', async (kind, a, b, t) => {
    await a.lock(kind, 'write');
    await a.close();
    await becomesFree('a close', () => b.lock(kind, 'write'));
    t.pass('the other gets it');
  }),

  async closeOfAnyDescriptorEndsPosixLocks(directory, t, features) {
    const [a, b] = await parties(t, directory);
    if (await refuseLocks(t, features, a, 'posix')) return;
    const second = await a.open();
    await a.lock('posix', 'write');
    await a.close(second);
    await becomesFree('a close', () => b.lock('posix', 'write'));
    t.pass('as POSIX has it');
  },

  async closeOfAnotherDescriptorKeepsOfdLocks(directory, t, features) {
    const [a, b] = await parties(t, directory);
    if (await refuseLocks(t, features, a, 'ofd')) return;
    const second = await a.open();
    await a.lock('ofd', 'write');
    await refused(
      t,
      a.process.call('lock', { fd: second, kind: 'ofd', command: 'set', type: 'write' }),
      TAKEN,
      'another open file of the same process',
    );
    await a.close(second);
    await refused(t, b.lock('ofd', 'write'), TAKEN, 'another process');
  },

  async posixAndOfdLocksExcludeOneAnother(directory, t, features) {
    const [a, b] = await parties(t, directory);
    if (await refuseLocks(t, features, a, 'ofd')) return;
    await a.lock('ofd', 'write', { start: 0, length: 10 });
    await refused(t, b.lock('posix', 'write', { start: 5, length: 1 }), TAKEN, 'POSIX over OFD');
    await b.lock('posix', 'write', { start: 10, length: 10 });
    await refused(t, a.lock('ofd', 'read', { start: 15, length: 1 }), TAKEN, 'OFD over POSIX');
  },

  async locksNeedTheRightAccess(directory, t, features) {
    const [a] = await parties(t, directory);
    if (await refuseLocks(t, features, a, 'posix')) return;
    const reader = await a.open(constants.O_RDONLY);
    await refused(
      t,
      a.process.call('lock', { fd: reader, kind: 'ofd', command: 'set', type: 'write' }),
      'EBADF',
      'a write lock of a reader',
    );
    await a.process.call('lock', { fd: reader, kind: 'ofd', command: 'set', type: 'read' });
    t.pass('a read lock of a reader');
  },

  async manyLocksOfOneOwner(directory, t, features) {
    const [a, b] = await parties(t, directory);
    if (await refuseLocks(t, features, a, 'ofd')) return;
    const count = 100;
    for (let index = 0; index < count; index++) await a.lock('ofd', 'read', { start: 2 * index, length: 1 });
    await b.lock('ofd', 'write', { start: 2 * count, length: 1 });
    await refused(t, b.lock('ofd', 'write', { start: count, length: 1 }), TAKEN, 'one of them');
    await b.lock('ofd', 'write', { start: count + 1, length: 1 });
    await a.lock('ofd', 'unlock');
    await b.lock('ofd', 'write');
    t.pass('all given back at once');
  },

  async flockExcludes(directory, t, features) {
    const [a, b] = await parties(t, directory);
    if (!features.flock) return refused(t, a.flock('write'), ['ENOSYS', 'EOPNOTSUPP', 'ENOLCK'], 'flock');
    await a.flock('write');
    await refused(t, b.flock('write'), 'EAGAIN', 'a second writer');
    await refused(t, b.flock('read'), 'EAGAIN', 'a reader');
    await a.flock('read');
    await b.flock('read');
    await refused(t, a.flock('write'), 'EAGAIN', 'an upgrade while another reads');
    await a.flock('unlock');
    await b.flock('write');
    t.pass('free again');
  },

  async flockBelongsToTheOpenFile(directory, t, features) {
    const [a, b] = await parties(t, directory);
    if (!features.flock) return refused(t, a.flock('write'), ['ENOSYS', 'EOPNOTSUPP', 'ENOLCK'], 'flock');
    const second = await a.open();
    await a.flock('write');
    await refused(t, a.flock('write', { fd: second }), 'EAGAIN', 'another open file of the same process');
    await a.close(second);
    await refused(t, b.flock('write'), 'EAGAIN', 'another process, after that was closed');
    await a.close();
    await becomesFree('a close', () => b.flock('write'));
    t.pass('closed');
  },

  async flockDoesNotMeetByteRangeLocks(directory, t, features) {
    const [a, b] = await parties(t, directory);
    if (!features.flock || !features.locks) {
      return refused(t, a.flock('write'), ['ENOSYS', 'EOPNOTSUPP', 'ENOLCK'], 'flock');
    }
    await a.flock('write');
    await b.lock('posix', 'write');
    t.pass('they are two things on Linux');
  },

  async flockWaits(directory, t, features) {
    const [a, b] = await parties(t, directory);
    if (!features.flock) return refused(t, a.flock('write'), ['ENOSYS', 'EOPNOTSUPP', 'ENOLCK'], 'flock');
    await a.flock('write');
    const interrupted = b.flock('write', { wait: true });
    await b.process.waitBlocked();
    b.process.interrupt();
    await refused(t, interrupted, 'EINTR', 'an interrupted wait');
    const waiting = b.flock('write', { wait: true });
    await b.process.waitBlocked();
    await a.process.kill();
    await waiting;
    t.pass('the death of the holder ends the wait');
  },
};
