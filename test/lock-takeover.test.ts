import { test } from 'brittle';
import type { LockRequest } from '../lib/fuse/operations.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { after, onThreeHosts } from './helpers/three-hosts.js';
import type { SimulatedHost } from './simulation/simulated-host.js';
import type { World } from './simulation/world.js';

const RETRY_MS = 500;
const SIGNAL = { aborted: false, onAbort: () => {} };
const LOCK: LockRequest = { type: 'write', start: 0, end: 0, owner: 1n, pid: 1, flock: false, wait: false };

function lock({ run }: SimulatedHost, vdi: number, request = LOCK): Promise<string> {
  return run!.locks.setlk(vdi, 1, request, SIGNAL).then(
    () => 'granted',
    (error) => error.code,
  );
}

/** Cuts a host off from the others and from the store, or connects it again. */
function setReachable({ hosts, network, store }: World, host: string, isReachable: boolean): void {
  store.setReachable(host, isReachable);
  for (const { id } of hosts) {
    if (id === host) continue;
    for (const [from, to] of [
      [host, id],
      [id, host],
    ] as const) {
      if (isReachable) network.heal(from, to);
      else network.cut(from, to);
    }
  }
}

test('a lock of a host that is down goes to another with the writer role, and its handles are dead', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second] = world.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
    const { id } = await first.run!.vdis.create('a', { size: OBJECT_BYTES, mode: 0o600, uid: 0, gid: 0, copies: 2 });
    const [here, there] = [await first.run!.vdis.load(id), await second.run!.vdis.load(id)];
    const opened = here.generation();
    t.is(await lock(first, id), 'granted');
    await here.write(0, Buffer.alloc(4096, 1), opened);
    await here.flush(true, opened);
    t.is(await lock(second, id), 'EAGAIN', 'nobody takes it from a host that is up');

    setReachable(world, first.id, false);
    const stalled = here.write(4096, Buffer.alloc(4096, 2), opened).then(
      () => 'written',
      (error) => error.code,
    );
    while ((await lock(second, id)) !== 'granted') await after(world, RETRY_MS);
    t.is(world.map.hosts[first.id]?.up, false);
    await there.refresh();
    await there.write(0, Buffer.alloc(4096, 3), there.generation());

    setReachable(world, first.id, true);
    t.is(await stalled, 'EIO', 'the write that was held up is refused for good');
    const data = Buffer.alloc(4096);
    t.is(await here.read(0, data, opened).catch((error) => error.code), 'EIO', 'and so are reads');
    await here.refresh();
    await here.read(0, data, here.generation());
    t.ok(data.equals(Buffer.alloc(4096, 3)), 'who opens it anew reads what the other wrote');
    t.is(await lock(first, id, { ...LOCK, owner: 2n }), 'EAGAIN');
  });
});

test('who has lost a lock writes no more, whether or not the other has written', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second] = world.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
    const { id } = await first.run!.vdis.create('a', { size: OBJECT_BYTES, mode: 0o600, uid: 0, gid: 0, copies: 2 });
    const here = await first.run!.vdis.load(id);
    const opened = here.generation();
    t.is(await lock(first, id), 'granted');
    await here.write(0, Buffer.alloc(4096, 1), opened);

    setReachable(world, first.id, false);
    const stalled = here.write(4096, Buffer.alloc(4096, 2), opened).then(
      () => 'written',
      (error) => error.code,
    );
    while ((await lock(second, id)) !== 'granted') await after(world, RETRY_MS);

    setReachable(world, first.id, true);
    t.is(await stalled, 'EIO');
  });
});

test('who waits for a lock of a host that dies gets it', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second] = world.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
    const { id } = await first.run!.vdis.create('a', { size: OBJECT_BYTES, mode: 0o600, uid: 0, gid: 0, copies: 2 });
    t.is(await lock(first, id), 'granted');
    const waiting = lock(second, id, { ...LOCK, wait: true });
    await after(world, RETRY_MS);
    first.kill();
    t.is(await waiting, 'granted');
  });
});
