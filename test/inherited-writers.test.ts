/** Whose handles die with what an earlier worker's guests have lost. */
import { type Assertions, test } from 'brittle';
import { type Coordination, CoordinationError } from '../lib/coordination/coordination.js';
import { openLocal } from '../lib/coordination/local.js';
import { endInherited } from '../lib/replication/inherited-writers.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { decodeWriter, encodeWriter, NO_WRITER, writerKey } from '../lib/replication/writer-record.js';
import { after, onThreeHosts } from './helpers/three-hosts.js';

/** More often nothing is asked again. */
const PAUSES_MAX = 3;

async function storeWith(t: Assertions, values: Record<number, Uint8Array>): Promise<Coordination> {
  const store = await openLocal(await t.tmp());
  t.teardown(() => store.close());
  for (const [vdi, value] of Object.entries(values)) {
    await store.transaction({ success: [{ put: writerKey(Number(vdi)), value }] });
  }
  return store;
}

/** Ends what host `a` has left in this store; answers how often it had to be tried again. */
async function end(coordination: Coordination): Promise<number> {
  let pauses = 0;
  await endInherited({
    ...{ host: 'a', coordination, hasServed: () => false, isClosed: () => false },
    pause: async () => {
      if (++pauses > PAUSES_MAX) throw new Error('tried again and again');
    },
  });
  return pauses;
}

const held = encodeWriter({ ...NO_WRITER, generation: 4, holder: { host: 'a', incarnation: 2 }, clean: false });

test('handles are dead of what an earlier worker has written to', async (t) => {
  const store = await storeWith(t, { 7: held });
  t.is(await end(store), 0);
  t.alike(decodeWriter((await store.get(writerKey(7)))!.value).fenced, { a: 5 });
});

test('a store that does not answer is asked again', async (t) => {
  const store = await storeWith(t, { 7: held });
  let answers = false;
  const slow = new Proxy(store, {
    get: (target, name) => {
      if (name !== 'range') return Reflect.get(target, name).bind(target);
      return async (prefix: string) => {
        if (answers) return target.range(prefix);
        answers = true;
        throw new CoordinationError('UNAVAILABLE', 'the coordination store does not answer');
      };
    },
  });
  t.is(await end(slow), 1);
  t.alike(decodeWriter((await store.get(writerKey(7)))!.value).fenced, { a: 5 });
});

test('a damaged record is an error', async (t) => {
  const store = await storeWith(t, { 7: Buffer.from('{"generation":4}') });
  await t.exception(end(store), /holder/);
});

test('a store that is closed is an error', async (t) => {
  const store = await openLocal(await t.tmp());
  await store.close();
  await t.exception(end(store), /closed/);
});

test('nothing is tried again once the worker has stopped, and the map that it prepares for is not adopted', async (t) => {
  await onThreeHosts(async (world) => {
    const host = world.hosts[0]!;
    const { id } = await host.run!.vdis.create('a', { size: OBJECT_BYTES, mode: 0o600, uid: 0, gid: 0, copies: 2 });
    await (await host.run!.vdis.load(id)).write(0, Buffer.alloc(4096, 1));
    host.kill();
    host.start();
    const { cluster } = await host.running();
    await after(world, 10_000);
    const { map } = world;
    const epoch = map.epoch + 1;
    const tables = { 2: map.tables[2]!.map((group) => ({ ...group, lossy: epoch })) };
    world.store.setReachable(host.id, false);
    const preparing = cluster.replica.prepare({ ...map, epoch, tables }, map);
    preparing.catch(() => undefined);
    await after(world, 5000);
    cluster.close();
    world.store.setReachable(host.id, true);
    await t.exception(preparing, /stopped/);
    t.alike(decodeWriter(world.store.peek(writerKey(id))!.value).fenced, {}, 'nothing is stored');
  });
});
