import { type Assertions, test } from 'brittle';
import { VALUE_BYTES_MAX } from '../lib/coordination/coordination.js';
import { LAST_BYTE } from '../lib/filesystem/byte-range.js';
import { decodeLocks, encodeLocks } from '../lib/filesystem/lock-record.js';
import {
  type FileLock,
  LOCK_WAITERS_MAX,
  LOCKS_MAX,
  type LockDecision,
  LockTable,
  type LockWish,
} from '../lib/filesystem/lock-table.js';
import { Random } from './helpers/random.js';

/** Owner 1 is on host h, its open file is handle 1, and so on, unless said otherwise. */
function wish(
  owner: number,
  type: LockWish['type'],
  start = 0,
  end = LAST_BYTE,
  more: Partial<LockWish> = {},
): LockWish {
  const name = owner.toString(16).padStart(16, '0');
  return { kind: 'posix', type, start, end, owner: name, pid: owner, handle: owner, host: 'h', ...more };
}

const flock = (owner: number, type: LockWish['type']) => wish(owner, type, 0, LAST_BYTE, { kind: 'flock' });

/** `1:r0-9` for each lock, by owner and start. */
function shown(table: LockTable): string[] {
  return [...table.locks]
    .sort((a, b) => a.owner.localeCompare(b.owner) || a.start - b.start)
    .map(
      (lock) =>
        `${Number.parseInt(lock.owner, 16)}:${lock.type[0]}${lock.start}-${lock.end === LAST_BYTE ? '' : lock.end}`,
    );
}

function outcomes(t: Assertions, table: LockTable, steps: [LockWish, LockDecision['outcome']][]): void {
  for (const [step, outcome] of steps) t.is(table.set(step, false).outcome, outcome, `${step.pid} ${step.type}`);
}

function waits(t: Assertions, table: LockTable, one: LockWish): number {
  const decision = table.set(one, true);
  t.is(decision.outcome, 'waiting');
  t.alike(table.wake(), [], 'and nobody is woken by it');
  return decision.outcome === 'waiting' ? decision.waiter : -1;
}

const wokenBy = (table: LockTable) => table.wake().map(({ waiter }) => waiter);

test('lock table: a range of its owner is split, changed and joined', (t) => {
  const table = new LockTable();
  const steps: [LockWish, string[]][] = [
    [wish(1, 'write', 10, 19), ['1:w10-19']],
    [wish(1, 'unlock', 13, 15), ['1:w10-12', '1:w16-19']],
    [wish(1, 'read', 12, 16), ['1:w10-11', '1:r12-16', '1:w17-19']],
    [wish(1, 'write', 14, 14), ['1:w10-11', '1:r12-13', '1:w14-14', '1:r15-16', '1:w17-19']],
    [wish(1, 'write', 12, 13), ['1:w10-14', '1:r15-16', '1:w17-19']],
    [wish(1, 'write', 20, 29), ['1:w10-14', '1:r15-16', '1:w17-29']],
    [wish(1, 'read', 5, 40), ['1:r5-40']],
    [wish(1, 'read', 41, LAST_BYTE), ['1:r5-']],
    [wish(1, 'read', 0, 4), ['1:r0-']],
    [wish(1, 'unlock', 100, LAST_BYTE), ['1:r0-99']],
    [wish(1, 'unlock', 0, 0), ['1:r1-99']],
    [wish(1, 'unlock'), []],
    [wish(1, 'unlock'), []],
  ];
  for (const [step, expected] of steps) {
    t.is(table.set(step, false).outcome, 'granted');
    t.alike(shown(table), expected);
  }
});

test('lock table: readers share, a writer is alone', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(1, 'read', 0, 9), 'granted'],
    [wish(2, 'read', 5, 14), 'granted'],
    [wish(3, 'write', 9, 9), 'conflict'],
    [wish(1, 'write', 0, 4), 'granted'],
    [wish(1, 'write', 0, 5), 'conflict'],
    [wish(2, 'unlock', 5, 9), 'granted'],
    [wish(1, 'write', 0, 9), 'granted'],
    [wish(3, 'read', 9, 9), 'conflict'],
    [wish(1, 'read', 8, 9), 'granted'],
    [wish(3, 'read', 8, 12), 'granted'],
  ]);
  t.alike(shown(table), ['1:w0-7', '1:r8-9', '2:r10-14', '3:r8-12']);
});

test('lock table: the first lock in the way is named, one of the own never is', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(2, 'write', 20, 29), 'granted'],
    [wish(1, 'read', 10, 14), 'granted'],
    [wish(3, 'write', 0, 9), 'granted'],
  ]);
  t.is(table.test(wish(3, 'read', 0, 99))?.start, 20);
  t.is(table.test(wish(3, 'write', 0, 99))?.start, 10);
  t.is(table.test(wish(3, 'write', 0, 9)), null);
  t.is(table.test(wish(1, 'unlock', 0, 99)), null);
  const refused = table.set(wish(1, 'write', 5, 25), false);
  t.is(refused.outcome === 'conflict' && refused.lock.pid, 3);
  t.alike(shown(table), ['1:r10-14', '2:w20-29', '3:w0-9'], 'and nothing changed');
});

test('lock table: the same owner on another host is another', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(1, 'write', 0, 9), 'granted'],
    [wish(1, 'write', 0, 9, { host: 'other' }), 'conflict'],
    [wish(1, 'write', 10, 19, { host: 'other' }), 'granted'],
  ]);
  table.flushOwner({ host: 'h', owner: wish(1, 'read').owner });
  t.is(table.locks.length, 1);
  table.releaseHandle('h', 1);
  t.is(table.locks.length, 1);
  table.dropHost('other');
  t.is(table.locks.length, 0);
});

test('lock table: locks end with the open file that took them, POSIX locks with any close of their process', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(1, 'read', 0, 9, { handle: 7 }), 'granted'],
    [wish(1, 'read', 10, 19, { handle: 8 }), 'granted'],
    [wish(2, 'read', 0, 9, { handle: 7 }), 'granted'],
    [flock(1, 'read'), 'granted'],
  ]);
  t.is(table.locks.length, 4, 'ranges of different open files are kept apart');
  table.releaseHandle('h', 7);
  t.alike(shown(table), ['1:r0-', '1:r10-19']);
  table.flushOwner({ host: 'h', owner: wish(1, 'read').owner });
  t.alike(shown(table), ['1:r0-'], 'flock stays');
  t.is(table.locks[0]?.kind, 'flock');
  table.releaseHandle('h', 1);
  t.is(table.locks.length, 0);
});

test('lock table: a lock belongs to the open file that took it last', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(1, 'write', 0, 9, { handle: 7 }), 'granted'],
    [wish(1, 'write', 3, 5, { handle: 8 }), 'granted'],
  ]);
  table.releaseHandle('h', 7);
  t.alike(shown(table), ['1:w3-5']);
});

test('lock table: flock is one a file and owner, and does not meet byte ranges', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(9, 'write'), 'granted'],
    [flock(1, 'read'), 'granted'],
    [flock(2, 'read'), 'granted'],
    [flock(3, 'write'), 'conflict'],
    [flock(1, 'read'), 'granted'],
    [flock(2, 'unlock'), 'granted'],
    [flock(1, 'write'), 'granted'],
    [flock(2, 'read'), 'conflict'],
    [flock(1, 'read'), 'granted'],
    [flock(2, 'read'), 'granted'],
  ]);
  t.alike(shown(table), ['1:r0-', '2:r0-', '9:w0-']);
  outcomes(t, table, [[flock(1, 'write'), 'conflict']]);
  t.alike(shown(table), ['2:r0-', '9:w0-'], 'an upgrade that fails has given up the lock, as on Linux');
});

test('lock table: two flocks that are upgraded do not wait for each other', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [flock(1, 'read'), 'granted'],
    [flock(2, 'read'), 'granted'],
  ]);
  const one = waits(t, table, flock(1, 'write'));
  t.is(table.set(flock(2, 'write'), true).outcome, 'waiting');
  t.alike(wokenBy(table), [one]);
  table.set(flock(1, 'unlock'), false);
  t.is(wokenBy(table).length, 1);
  t.alike(shown(table), ['2:w0-']);
});

test('lock table: waiters are served in order, and readers do not overtake a writer for ever', (t) => {
  const table = new LockTable();
  outcomes(t, table, [[wish(1, 'read', 0, 9), 'granted']]);
  const writer = waits(t, table, wish(2, 'write', 0, 9));
  const reader = waits(t, table, wish(3, 'read', 5, 14));
  const apart = table.set(wish(4, 'read', 10, 14), true);
  t.is(apart.outcome, 'granted', 'one that meets nobody does not wait');
  const last = waits(t, table, wish(5, 'read', 0, 0));
  outcomes(t, table, [[wish(1, 'unlock'), 'granted']]);
  t.alike(wokenBy(table), [writer]);
  outcomes(t, table, [[wish(2, 'unlock'), 'granted']]);
  t.alike(wokenBy(table), [reader, last]);
  t.is(table.waiting, 0);
});

test('lock table: a request that does not wait is refused for locks only, not for waiters', (t) => {
  const table = new LockTable();
  outcomes(t, table, [[wish(1, 'read', 0, 9), 'granted']]);
  waits(t, table, wish(2, 'write', 0, 9));
  outcomes(t, table, [[wish(3, 'read', 0, 9), 'granted']]);
});

test('lock table: an owner of a lock overtakes those who wait for it', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(1, 'read', 0, 9), 'granted'],
    [wish(3, 'write', 20, 29), 'granted'],
  ]);
  const other = waits(t, table, wish(2, 'write', 0, 15));
  const owner = waits(t, table, wish(1, 'read', 12, 25));
  outcomes(t, table, [[wish(3, 'unlock'), 'granted']]);
  t.alike(wokenBy(table), [owner], 'were it queued, both would wait for ever');
  outcomes(t, table, [[wish(1, 'unlock'), 'granted']]);
  t.alike(wokenBy(table), [other]);
});

test('lock table: a wait that was cancelled is not granted, and lets others go on', (t) => {
  const table = new LockTable();
  outcomes(t, table, [[wish(1, 'read', 0, 9), 'granted']]);
  const writer = waits(t, table, wish(2, 'write', 0, 9));
  const reader = waits(t, table, wish(3, 'read', 0, 9));
  t.is(table.cancel(writer), true);
  t.is(table.cancel(writer), false);
  t.alike(wokenBy(table), [reader]);
  outcomes(t, table, [[wish(1, 'unlock'), 'granted']]);
  t.alike(wokenBy(table), []);
});

test('lock table: who would wait for itself is refused, by way of one other or of several', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(1, 'write', 0, 0), 'granted'],
    [wish(2, 'write', 1, 1), 'granted'],
    [wish(3, 'write', 2, 2), 'granted'],
  ]);
  waits(t, table, wish(1, 'read', 1, 1));
  t.is(table.set(wish(2, 'write', 0, 0), true).outcome, 'deadlock');
  waits(t, table, wish(2, 'write', 2, 2));
  t.is(table.set(wish(3, 'write', 0, 5), true).outcome, 'deadlock');
  t.is(table.set(wish(3, 'write', 0, 5), false).outcome, 'conflict', 'which only concerns those who wait');
  waits(t, table, wish(4, 'write', 0, 0));
  outcomes(t, table, [[wish(3, 'unlock'), 'granted']]);
  t.is(wokenBy(table).length, 1);
});

test('lock table: two readers that both want to write are a deadlock', (t) => {
  const table = new LockTable();
  outcomes(t, table, [
    [wish(1, 'read', 0, 9), 'granted'],
    [wish(2, 'read', 0, 9), 'granted'],
  ]);
  const one = waits(t, table, wish(1, 'write', 0, 9));
  t.is(table.set(wish(2, 'write', 0, 9), true).outcome, 'deadlock');
  t.alike(shown(table), ['1:r0-9', '2:r0-9'], 'both still have what they had');
  outcomes(t, table, [[wish(2, 'unlock'), 'granted']]);
  t.alike(wokenBy(table), [one]);
  t.alike(shown(table), ['1:w0-9']);
});

test('lock table: locks and waiters are limited, giving back is not', (t) => {
  const table = new LockTable();
  for (let i = 0; i < LOCKS_MAX; i++) table.set(wish(1, 'write', i * 10, i * 10 + 5), false);
  t.is(table.locks.length, LOCKS_MAX);
  outcomes(t, table, [
    [wish(1, 'write', LOCKS_MAX * 10, LAST_BYTE), 'full'],
    [wish(1, 'unlock', 2, 3), 'full'],
    [wish(1, 'read', 2, 3), 'full'],
    [wish(1, 'write', 5, 9), 'granted'],
    [wish(1, 'unlock', 2, 3), 'granted'],
    [wish(1, 'unlock', 4, LAST_BYTE), 'granted'],
  ]);
  for (let i = 0; i < LOCK_WAITERS_MAX; i++) {
    if (table.set(wish(2 + i, 'write', 0, 0), true).outcome !== 'waiting') t.fail('did not wait');
  }
  t.is(table.set(wish(2, 'write', 0, 0), true).outcome, 'full');
});

test('lock table: what is stored is read back, and stays below the limit of a value', (t) => {
  const table = new LockTable();
  table.set(wish(1, 'read', 0, 9), false);
  table.set(flock(2, 'write'), false);
  t.alike(new LockTable(decodeLocks('/locks/1', encodeLocks(table.locks))).locks, table.locks);
  const long: FileLock = {
    kind: 'posix',
    type: 'write',
    start: LAST_BYTE,
    end: LAST_BYTE,
    owner: 'f'.repeat(16),
    pid: 4194304,
    handle: LAST_BYTE,
    host: 'f'.repeat(64),
  };
  const { length } = encodeLocks(new Array<FileLock>(LOCKS_MAX).fill(long));
  t.ok(length < VALUE_BYTES_MAX * 0.6, `${length} bytes`);
  for (const bad of ['', '{}', '{"format":2,"locks":[]}', '{"format":1,"locks":[{}]}']) {
    try {
      decodeLocks('/locks/1', Buffer.from(bad));
      t.fail('was read');
    } catch (error) {
      t.is((error as { code?: string }).code, 'EIO');
    }
  }
});

/** The definition of POSIX locks: for each byte, who has it locked how. */
class ByteModel {
  readonly bytes: Map<string, { type: 'read' | 'write'; handle: number; host: string; owner: string }>[];

  constructor(size: number) {
    this.bytes = Array.from({ length: size }, () => new Map());
  }

  set(one: LockWish): boolean {
    const range = this.bytes.slice(one.start, one.end + 1);
    const own = `${one.host}${one.owner}`;
    const blocked = range.some((byte) =>
      [...byte].some(([key, held]) => key !== own && (held.type === 'write' || one.type === 'write')),
    );
    if (one.type !== 'unlock' && blocked) return false;
    for (const byte of range) {
      if (one.type === 'unlock') byte.delete(own);
      else byte.set(own, { type: one.type, handle: one.handle, host: one.host, owner: one.owner });
    }
    return true;
  }

  drop(doomed: (held: { handle: number; host: string; owner: string }) => boolean): void {
    for (const byte of this.bytes) for (const [key, held] of byte) if (doomed(held)) byte.delete(key);
  }

  /** The fewest locks that say the same. */
  locks(): string[] {
    const found: string[] = [];
    const keys = new Set(this.bytes.flatMap((byte) => [...byte.keys()]));
    for (const key of keys) {
      for (let at = 0; at < this.bytes.length; ) {
        const held = this.bytes[at]!.get(key);
        let end = at;
        const next = () => this.bytes[end + 1]?.get(key);
        while (held && next()?.type === held.type && next()?.handle === held.handle) end++;
        if (held) found.push(`${key} ${held.type} ${at}-${end} by ${held.handle}`);
        at = end + 1;
      }
    }
    return found.sort();
  }
}

test('lock table: random requests, against what each byte should have', (t) => {
  const size = 24;
  for (let seed = 1; seed <= 60; seed++) {
    const random = dice(seed);
    const table = new LockTable();
    const model = new ByteModel(size);
    for (let step = 0; step < 400; step++) {
      const one = randomWish(random, size);
      const event = random(20);
      if (event === 0) {
        table.releaseHandle(one.host, one.handle);
        model.drop((held) => held.host === one.host && held.handle === one.handle);
      } else if (event === 1) {
        table.flushOwner(one);
        model.drop((held) => held.host === one.host && held.owner === one.owner);
      } else if (event === 2 && random(4) === 0) {
        table.dropHost(one.host);
        model.drop((held) => held.host === one.host);
      } else {
        const before = table.test(one);
        const granted = table.set(one, false).outcome === 'granted';
        if (granted !== model.set(one)) return t.fail(`seed ${seed} step ${step}: granted ${granted}`);
        if (granted !== (before === null)) return t.fail(`seed ${seed} step ${step}: test and set differ`);
      }
      const held = table.locks.map((l) => `${l.host}${l.owner} ${l.type} ${l.start}-${l.end} by ${l.handle}`).sort();
      const expected = model.locks();
      if (held.join() !== expected.join()) {
        t.alike(held, expected);
        return t.fail(`seed ${seed} step ${step}`);
      }
    }
  }
  return t.pass('60 seeds');
});

function dice(seed: number): (sides: number) => number {
  const random = new Random(seed);
  return (sides) => random.below(sides);
}

function randomWish(random: (below: number) => number, size: number): LockWish {
  const start = random(size);
  const end = Math.min(size - 1, start + random(8));
  const type = (['read', 'read', 'write', 'unlock'] as const)[random(4)]!;
  const owner = 1 + random(4);
  return wish(owner, type, start, end, { handle: owner * 10 + random(2), host: random(4) === 0 ? 'other' : 'h' });
}

test('lock table: random waits never grant what conflicts, and end when locks are given back', (t) => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = dice(seed);
    const table = new LockTable();
    const waiting = new Map<number, LockWish>();
    const wake = () => {
      for (const { waiter, decision } of table.wake()) {
        if (decision.outcome !== 'granted' || !waiting.delete(waiter)) t.fail(`seed ${seed}: woken wrongly`);
      }
    };
    for (let step = 0; step < 120; step++) {
      const one = random(4) === 0 ? flock(1 + random(4), 'write') : randomWish(random, 12);
      // A thread that goes on while another waits can make a circle that no wait would have made.
      if ([...waiting.values()].some((other) => ownerOf(other) === ownerOf(one))) continue;
      const decision = table.set(one, random(3) > 0);
      if (decision.outcome === 'waiting') waiting.set(decision.waiter, one);
      if (random(10) === 0) {
        const [waiter] = [...waiting.keys()];
        if (waiter !== undefined && table.cancel(waiter)) waiting.delete(waiter);
      }
      wake();
      const clash = clashIn(table.locks);
      if (clash !== null) return t.fail(`seed ${seed} step ${step}: ${clash}`);
    }
    for (let rounds = 0; table.waiting > 0; rounds++) {
      const blocked = new Set([...waiting.values()].map(ownerOf));
      const free = table.locks.find((lock) => !blocked.has(ownerOf(lock)));
      if (free === undefined || rounds > 1000) return t.fail(`seed ${seed}: ${table.waiting} wait for each other`);
      table.set({ ...free, type: 'unlock', start: 0, end: LAST_BYTE }, false);
      wake();
    }
  }
  return t.pass('150 seeds');
});

const ownerOf = (one: LockWish) => `${one.kind} ${one.host} ${one.owner}`;

function clashIn(locks: readonly FileLock[]): string | null {
  for (const one of locks) {
    for (const other of locks) {
      if (one === other || one.kind !== other.kind || one.start > other.end || other.start > one.end) continue;
      const same = one.owner === other.owner && one.host === other.host;
      if (same || one.type === 'write' || other.type === 'write') return `${JSON.stringify([one, other])}`;
    }
  }
  return null;
}
