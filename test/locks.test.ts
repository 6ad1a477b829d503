import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import type { Coordination } from '../lib/coordination/coordination.js';
import { openLocal } from '../lib/coordination/local.js';
import { Locks } from '../lib/filesystem/locks.js';
import { Interrupt } from '../lib/fuse/interrupts.js';
import type { LockRequest } from '../lib/fuse/operations.js';
import { Random } from './helpers/random.js';

const VDI = 7;

async function store(t: Assertions): Promise<Coordination> {
  const directory = await mkdtemp(join(tmpdir(), 'sheepdog-locks-'));
  const coordination = await openLocal(directory);
  t.teardown(
    async () => {
      await coordination.close();
      await rm(directory, { recursive: true });
    },
    { order: 1 },
  );
  return coordination;
}

function locksOf(t: Assertions, coordination: Coordination, host: string): Locks {
  const locks = new Locks(coordination, host);
  t.teardown(() => locks.close());
  return locks;
}

function request(owner: number, type: LockRequest['type'], start = 0, end = 9, wait = false): LockRequest {
  return { type, start, end, owner: BigInt(owner), pid: 1000 + owner, flock: false, wait };
}

const flock = (owner: number, type: LockRequest['type'], wait = false): LockRequest => ({
  ...request(owner, type, 0, Number.MAX_SAFE_INTEGER, wait),
  flock: true,
});

/** 'done', or the code of what was thrown. */
async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** A request that waits: `ended` says so, and `interrupt` gives it up. */
function waiting(locks: Locks, handle: number, lock: LockRequest) {
  const signal = new Interrupt();
  const wait = {
    ended: null as string | null,
    result: outcome(locks.setlk(VDI, handle, lock, signal)),
    interrupt: () => signal.abort(),
  };
  void wait.result.then((result) => {
    wait.ended = result;
  });
  return wait;
}

/** Sees to it that everything asked of `locks` before is under way: an answer comes after those asked before it. */
async function settled(locks: Locks): Promise<void> {
  await locks.getlk(VDI, 99, request(99, 'read'));
}

const set = (locks: Locks, handle: number, lock: LockRequest) =>
  outcome(locks.setlk(VDI, handle, lock, new Interrupt()));

test('locks: another instance sees every lock, and nothing is left when all were given back', async (t) => {
  const coordination = await store(t);
  const first = locksOf(t, coordination, 'a');
  t.is(await set(first, 1, request(1, 'read', 100, 100)), 'done');
  t.is(await set(first, 1, request(1, 'read', 200, Number.MAX_SAFE_INTEGER + 10)), 'done');
  t.is(await set(first, 2, flock(2, 'write')), 'done');
  first.close();

  const next = locksOf(t, coordination, 'a');
  t.alike(await next.getlk(VDI, 3, request(3, 'write', 0, 1000)), { type: 'read', start: 100, end: 100, pid: 1001 });
  t.alike(await next.getlk(VDI, 3, request(3, 'write', 150, 1000)), {
    type: 'read',
    start: 200,
    end: Number.MAX_SAFE_INTEGER,
    pid: 1001,
  });
  t.is(await next.getlk(VDI, 3, request(3, 'read', 0, 1000)), null);
  t.is(await next.getlk(VDI, 1, request(1, 'write', 0, 1000)), null, 'the own locks are in nobody’s way');
  t.is(await next.getlk(VDI + 1, 3, request(3, 'write', 0, 1000)), null, 'and another file’s neither');
  t.is(await set(next, 3, request(3, 'write', 100, 100)), 'EAGAIN');
  t.is(await set(next, 3, flock(3, 'read')), 'EAGAIN');
  t.is(await set(next, 1, request(1, 'unlock', 0, 1000)), 'done');
  t.is(await set(next, 1, request(1, 'unlock', 0, Number.MAX_SAFE_INTEGER)), 'done');
  t.is((await coordination.range('/locks/')).length, 1);
  t.is(await set(next, 2, flock(2, 'unlock')), 'done');
  t.alike(await coordination.range('/locks/'), []);
});

test('locks: hold on every host, and a pid of another host is not told', async (t) => {
  const coordination = await store(t);
  const [a, b] = [locksOf(t, coordination, 'a'), locksOf(t, coordination, 'b')];
  t.is(await set(a, 1, request(1, 'write')), 'done');
  t.is(await set(b, 1, request(1, 'write')), 'EAGAIN', 'the same numbers on another host are another owner');
  t.alike(await b.getlk(VDI, 1, request(1, 'write')), { type: 'write', start: 0, end: 9, pid: 0 });
  t.is(await set(b, 1, request(1, 'write', 10, 19)), 'done');
  await b.releaseHandle(VDI, 1);
  t.is(await set(a, 1, request(1, 'write', 0, 19)), 'done');
});

test('locks: end with their handle, with a close of their process, with their host', async (t) => {
  const coordination = await store(t);
  const [a, b] = [locksOf(t, coordination, 'a'), locksOf(t, coordination, 'b')];
  await set(a, 1, request(1, 'read'));
  await set(a, 2, request(2, 'read'));
  await set(a, 3, flock(3, 'read'));
  await set(b, 4, request(4, 'read'));
  const { modRevision } = (await coordination.range('/locks/'))[0]!;
  await a.flushOwner(VDI, 2, 1n);
  t.is((await a.getlk(VDI, 9, request(9, 'write')))?.pid, 1002);
  await a.releaseHandle(VDI, 2);
  t.is((await a.getlk(VDI, 9, request(9, 'write')))?.pid, 0, 'the other host’s');
  await a.flushOwner(VDI, 3, 3n);
  t.is((await a.getlk(VDI, 9, flock(9, 'write')))?.pid, 1003, 'flock does not end with a close');
  await a.dropAllOf('b');
  t.is(await a.getlk(VDI, 9, request(9, 'write')), null);
  await a.dropAllOf('a');
  t.alike(await coordination.range('/locks/'), []);
  const revision = await coordination.revision();
  t.is(revision, modRevision + 4, 'one change each, none for what had no locks');
  await a.releaseHandle(VDI, 1);
  await a.flushOwner(VDI, 1, 1n);
  t.is(await coordination.revision(), revision);
});

test('locks: who waits is served when the lock is given back, in order', async (t) => {
  const locks = locksOf(t, await store(t), 'a');
  await set(locks, 1, request(1, 'write'));
  const two = waiting(locks, 2, request(2, 'write', 0, 9, true));
  const three = waiting(locks, 3, request(3, 'read', 0, 9, true));
  await settled(locks);
  t.alike([two.ended, three.ended], [null, null]);
  await set(locks, 1, request(1, 'unlock'));
  t.is(await two.result, 'done');
  await settled(locks);
  t.is(three.ended, null);
  await locks.flushOwner(VDI, 2, 2n);
  t.is(await three.result, 'done');
});

test('locks: who waits on one host is served when another gives the lock back, or is gone', async (t) => {
  const coordination = await store(t);
  const [a, b, c] = [locksOf(t, coordination, 'a'), locksOf(t, coordination, 'b'), locksOf(t, coordination, 'c')];
  await set(a, 1, flock(1, 'write'));
  const one = waiting(b, 1, flock(1, 'write', true));
  await settled(b);
  t.is(one.ended, null);
  await a.releaseHandle(VDI, 1);
  t.is(await one.result, 'done');
  const next = waiting(a, 5, flock(5, 'read', true));
  await settled(a);
  await c.dropAllOf('b');
  t.is(await next.result, 'done');
});

test('locks: a wait that is interrupted ends with EINTR and leaves nothing', async (t) => {
  const locks = locksOf(t, await store(t), 'a');
  await set(locks, 1, request(1, 'read'));
  const writer = waiting(locks, 2, request(2, 'write', 0, 9, true));
  const reader = waiting(locks, 3, request(3, 'read', 0, 9, true));
  await settled(locks);
  t.is(reader.ended, null, 'it waits behind the writer');
  writer.interrupt();
  t.is(await writer.result, 'EINTR');
  t.is(await reader.result, 'done');
  const early = new Interrupt();
  early.abort();
  t.is(await outcome(locks.setlk(VDI, 2, request(2, 'write', 0, 9, true), early)), 'EINTR');
  t.is(await outcome(locks.setlk(VDI, 1, request(1, 'read', 0, 9, true), early)), 'done', 'what need not wait is done');
  await locks.releaseHandle(VDI, 1);
  await locks.releaseHandle(VDI, 3);
  t.is(await locks.getlk(VDI, 9, request(9, 'write')), null);
  writer.interrupt();
});

test('locks: refusals have their errno', async (t) => {
  const locks = locksOf(t, await store(t), 'a');
  t.is(await set(locks, 1, request(1, 'read', 5, 4)), 'EINVAL');
  t.is(await set(locks, 1, request(1, 'read', -1, 4)), 'EINVAL');
  t.is(await set(locks, 1, request(1, 'read', Number.NaN, 4)), 'EINVAL');
  await set(locks, 1, request(1, 'write', 0, 0));
  await set(locks, 2, request(2, 'write', 1, 1));
  const one = waiting(locks, 1, request(1, 'write', 1, 1, true));
  t.is(await set(locks, 2, request(2, 'write', 0, 0, true)), 'EDEADLK');
  await locks.remove(VDI);
  t.is(await one.result, 'ESTALE');
  t.is(await locks.getlk(VDI, 9, request(9, 'write')), null);
});

test('locks: beyond what can be counted exactly, locks meet rather too often than not', async (t) => {
  const locks = locksOf(t, await store(t), 'a');
  t.is(await set(locks, 1, request(1, 'write', 2 ** 60, 2 ** 60 + 4096)), 'done');
  t.is(await set(locks, 2, request(2, 'write', 2 ** 61, 2 ** 62)), 'EAGAIN');
  t.is(await set(locks, 2, request(2, 'write', 0, 2 ** 52)), 'done');
});

test('locks: what cannot be read is refused, and who waits is told', async (t) => {
  const coordination = await store(t);
  const locks = locksOf(t, coordination, 'a');
  await set(locks, 1, request(1, 'write'));
  const wait = waiting(locks, 2, request(2, 'write', 0, 9, true));
  await settled(locks);
  await coordination.transaction({ success: [{ put: `/locks/${VDI}`, value: Buffer.from('{"format":2}') }] });
  t.is(await wait.result, 'EIO');
  t.is(await set(locks, 3, request(3, 'read')), 'EIO');
  await locks.remove(VDI);
  t.is(await set(locks, 3, request(3, 'write')), 'done', 'who was told got no lock later');
});

test('locks: of many hosts that want the same at once, one has it at a time', async (t) => {
  const coordination = await store(t);
  let inside = 0;
  let turns = 0;
  const enter = async (locks: Locks, owner: number, random: Random): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      const exclusive = random.chance(0.5);
      const start = random.below(4);
      await locks.setlk(VDI, owner, request(owner, exclusive ? 'write' : 'read', start, 9, true), new Interrupt());
      inside += exclusive ? 100 : 1;
      if (inside > 100 || (exclusive && inside !== 100)) t.fail(`${inside} inside`);
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
      inside -= exclusive ? 100 : 1;
      if (random.chance(0.5)) await locks.flushOwner(VDI, owner, BigInt(owner));
      else await locks.releaseHandle(VDI, owner);
    }
  };
  const hosts = ['a', 'b', 'c'].map((host) => locksOf(t, coordination, host));
  const all = hosts.flatMap((locks, i) =>
    Array.from({ length: 4 }, (_, owner) => enter(locks, owner + 1, new Random(i * 10 + owner))),
  );
  await Promise.all(all);
  t.is(turns, 72);
  t.alike(await coordination.range('/locks/'), []);
});
