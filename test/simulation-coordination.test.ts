import { type Assertions, test } from 'brittle';
import type { Coordination } from '../lib/coordination/coordination.js';
import { bytes, coordinationSuite, text } from './helpers/coordination-suite.js';
import { Random } from './helpers/random.js';
import { SimulatedStore } from './simulation/coordination-store.js';
import { ProcessScope } from './simulation/process-scope.js';
import { Scheduler } from './simulation/scheduler.js';
import { CALM_STORE, ROUGH_STORE, type StoreConditions } from './simulation/store-conditions.js';
import { Trace } from './simulation/trace.js';

const SEED = Number(process.env.SEED ?? Date.now()) >>> 0;

interface World {
  scheduler: Scheduler;
  random: Random;
  trace: Trace;
  store: SimulatedStore;
}

function worldOf(seed: number, conditions: StoreConditions = CALM_STORE): World {
  const scheduler = new Scheduler();
  const random = new Random(seed);
  const trace = new Trace(scheduler);
  return { scheduler, random, trace, store: new SimulatedStore(scheduler, random, { conditions, trace }) };
}

function clientOf({ scheduler, random, store }: World, host: string): { scope: ProcessScope; client: Coordination } {
  const scope = new ProcessScope(scheduler, random, host);
  return { scope, client: store.client(host, scope) };
}

/** The suite waits in real time: simulated time passes as long as there is something to happen. */
coordinationSuite('simulated', async (t) => {
  const world = worldOf(SEED);
  let ended = false;
  const passing = (async () => {
    while (!ended) {
      await world.scheduler.run();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  t.teardown(async () => {
    ended = true;
    await passing;
  });
  return clientOf(world, 'a').client;
});

async function refusesUnavailable(t: Assertions, world: World, work: Promise<unknown>, what: string): Promise<void> {
  try {
    await world.scheduler.settle(work);
    t.fail(`${what} was answered`);
  } catch (error) {
    t.is((error as { code?: string }).code, 'UNAVAILABLE', what);
  }
}

const put = (key: string, value = '') => ({ success: [{ put: key, value: bytes(value) }] });

test('a request takes time there and back, and is carried out in between', async (t) => {
  const world = worldOf(1, { ...CALM_STORE, travelMs: [10, 10] });
  const { client } = clientOf(world, 'a');
  const done = client.transaction(put('/a', 'one'));
  await world.scheduler.run({ untilMs: 9 });
  t.is(world.store.peek('/a'), null);
  await world.scheduler.run({ untilMs: 11 });
  t.is(text(world.store.peek('/a')?.value), 'one');
  await world.scheduler.settle(done);
  t.is(world.scheduler.nowMs, 20);
  const found = (await world.scheduler.settle(client.get('/a')))!;
  found.value.fill(0);
  t.is(text(world.store.peek('/a')?.value), 'one', 'what is answered is a copy');
});

test('a lost answer leaves open what became of the request', async (t) => {
  const world = worldOf(1, { ...CALM_STORE, answerLostChance: 1 });
  const { client } = clientOf(world, 'a');
  await refusesUnavailable(t, world, client.transaction(put('/a')), 'its answer was lost');
  t.ok(world.store.peek('/a'), 'it was carried out');
  world.store.conditions = { ...CALM_STORE, requestLostChance: 1 };
  await refusesUnavailable(t, world, client.transaction(put('/b')), 'it was lost itself');
  t.is(world.store.peek('/b'), null);
  t.is(world.store.counters.appliedUnknown, 1);
  t.is(world.store.counters.timeouts, 2);
});

test('a store without a majority answers nobody, and may carry out later what was given up', async (t) => {
  const world = worldOf(1, { ...CALM_STORE, waitChance: 1 });
  const { client } = clientOf(world, 'a');
  const heard: number[] = [];
  client.watch('/', (_, revision) => heard.push(revision));
  world.store.setAvailable(false);
  await refusesUnavailable(t, world, client.transaction(put('/a')), 'a change');
  await refusesUnavailable(t, world, client.get('/a'), 'a read');
  t.is(world.store.peek('/a'), null);
  world.store.setAvailable(true);
  t.ok(world.store.peek('/a'), 'in the moment it is back');
  await world.scheduler.run();
  t.alike(heard, [2]);
});

test('a host that is cut off hears nothing, others go on; then it hears all, in order', async (t) => {
  const world = worldOf(1, { ...CALM_STORE, watchMs: [0, 100] });
  const a = clientOf(world, 'a');
  const b = clientOf(world, 'b');
  const heard = { a: [] as string[], b: [] as string[] };
  for (const [name, { client }] of [['a', a] as const, ['b', b] as const]) {
    client.watch('/w', (events) => heard[name].push(...events.map(({ keyValue }) => keyValue.key)));
  }
  world.store.setReachable('a', false);
  const keys = Array.from({ length: 20 }, (_, number) => `/w${number}`);
  for (const key of keys) await world.scheduler.settle(b.client.transaction(put(key)));
  await world.scheduler.run();
  t.alike(heard, { a: [], b: keys });
  await refusesUnavailable(t, world, a.client.get('/w1'), 'who is cut off');
  world.store.setReachable('a', true);
  await world.scheduler.run();
  t.alike(heard.a, keys);
  t.ok(await world.scheduler.settle(a.client.get('/w1')));
});

test('what a killed process asked for is carried out, and it never hears of it', async (t) => {
  const world = worldOf(1);
  const { client, scope } = clientOf(world, 'a');
  let settled = false;
  let heard = 0;
  client.watch('/', () => heard++);
  void client.transaction(put('/a')).finally(() => {
    settled = true;
  });
  scope.kill();
  void client.transaction(put('/b')).finally(() => {
    settled = true;
  });
  await world.scheduler.run();
  t.ok(world.store.peek('/a'));
  t.is(world.store.peek('/b'), null, 'the dead ask for nothing');
  t.is(settled, false);
  t.is(heard, 0);
});

/** Counts up by compare-and-put from three hosts while the store is rough, comes and goes. */
async function storm(seed: number) {
  const world = worldOf(seed, ROUGH_STORE);
  const { scheduler, random, store } = world;
  const told = { succeeded: 0, unknown: 0 };
  const revisions: number[] = [];
  store.onChange(({ revision }) => revisions.push(revision));
  const heard: number[][] = [];
  const work = async (host: string) => {
    const { client } = clientOf(world, host);
    const mine: number[] = [];
    heard.push(mine);
    client.watch('/count', (_, revision) => mine.push(revision));
    for (let step = 0; step < 100; step++) {
      try {
        const found = await client.get('/count');
        const value = bytes(String(Number(text(found?.value) ?? 0) + 1));
        const compare = [{ key: '/count', modRevision: found?.modRevision ?? 0 }];
        const { succeeded } = await client.transaction({ compare, success: [{ put: '/count', value }] });
        if (succeeded) told.succeeded++;
      } catch (error) {
        if ((error as { code?: string }).code !== 'UNAVAILABLE') throw error;
        told.unknown++;
      }
    }
  };
  const disturb = () => {
    const what = random.below(6);
    if (what < 2) store.setAvailable(what === 0);
    else store.setReachable('abc'[random.below(3)]!, random.chance(0.7));
    if (scheduler.nowMs < 60_000) scheduler.after(random.below(2000), disturb);
  };
  disturb();
  const works = Promise.all(['a', 'b', 'c'].map(work));
  // The last disturbance begins up to two seconds after the minute.
  await scheduler.run({ untilMs: 63_000 });
  store.setAvailable(true);
  for (const host of 'abc') store.setReachable(host, true);
  await scheduler.settle(works);
  await scheduler.run();
  return { world, told, revisions, heard };
}

test('in a storm nothing acknowledged is lost, and watches leave nothing out', async (t) => {
  t.comment(`seed ${SEED}`);
  const { world, told, revisions, heard } = await storm(SEED);
  const count = Number(text(world.store.peek('/count')?.value));
  t.comment(JSON.stringify({ count, ...told, ...world.store.counters }));
  t.ok(count >= told.succeeded && count <= told.succeeded + told.unknown);
  t.ok(told.unknown > 0 && world.store.counters.appliedUnknown > 0);
  t.is(revisions.length, count);
  for (const mine of heard) t.alike(mine, revisions);
});

test('the same seed gives the same history, another one another', async (t) => {
  const digests = [];
  for (const seed of [5, 5, 6]) digests.push((await storm(seed)).world.trace.digest());
  t.is(digests[0], digests[1]);
  t.not(digests[0], digests[2]);
});
