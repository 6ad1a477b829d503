import { once } from 'node:events';
import { createServer } from 'node:net';
import { type Assertions, test } from 'brittle';
import type { Coordination, Operation, Watch, WatchEvent } from '../lib/coordination/coordination.js';
import { openEtcd } from '../lib/coordination/etcd.js';
import { bytes, text } from './helpers/coordination-suite.js';
import { freePorts, startEtcd, type TestEtcd } from './helpers/etcd.js';
import { sleep, until } from './helpers/until.js';

const TIMEOUT_MS = 2000;
/** Of a request that should end within its timeout, on a machine that is busy. */
const SLACK_MS = 1500;
const put = (key: string, value = ''): Operation => ({ put: key, value: bytes(value) });

interface Heard {
  revision: number;
  events: string[];
}

/** Notes what a watch tells. */
function listen(store: Coordination, prefix: string): { heard: Heard[]; watch: Watch } {
  const heard: Heard[] = [];
  const name = ({ type, keyValue }: WatchEvent) => `${type} ${keyValue.key}=${text(keyValue.value)}`;
  const watch = store.watch(prefix, (events, revision) => heard.push({ revision, events: events.map(name) }));
  return { heard, watch };
}

async function rejects(t: Assertions, code: string, what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
    t.fail(`${what} was answered`);
  } catch (error) {
    t.is((error as { code?: string }).code, code, `${what}: ${(error as Error).message}`);
  }
}

/** Puts a number under a new key, again until it is known to be there; answers the revision. */
async function putSurely(store: Coordination, key: string, value: string): Promise<number> {
  return until(
    `${key} to be stored`,
    async () => {
      try {
        const { succeeded, revision, responses } = await store.transaction({
          compare: [{ key, version: 0 }],
          success: [put(key, value)],
          failure: [{ get: key }],
        });
        return succeeded ? revision : responses[0]![0]!.modRevision;
      } catch (error) {
        if ((error as { code?: string }).code !== 'UNAVAILABLE') throw error;
        return null;
      }
    },
    30_000,
  );
}

test('etcd killed and started again: a watch hears everything, once and in order', async (t) => {
  const etcd = await startEtcd(t);
  const [member] = etcd.members;
  const store = await etcd.open(t);
  const { heard } = listen(store, '/w/');
  const revisions: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 5; i++) revisions.push(await putSurely(store, `/w/${round}-${i}`, 'x'));
    const writing = Promise.all([0, 1, 2].map((i) => putSurely(store, `/w/${round}-during-${i}`, 'x')));
    await member!.kill();
    await sleep(round * 100);
    member!.start();
    revisions.push(...(await writing));
  }
  revisions.sort((a, b) => a - b);
  await until('all events', () => heard.length >= revisions.length, 20_000);
  t.alike(
    heard.map(({ revision }) => revision),
    revisions,
  );
});

test('a frozen etcd: everything rejects in time, and goes on when it thaws', async (t) => {
  const etcd = await startEtcd(t);
  const [member] = etcd.members;
  const store = await etcd.open(t, { timeoutMs: TIMEOUT_MS });
  const { heard } = listen(store, '/w/');
  await putSurely(store, '/w/before', 'x');
  member!.signal('SIGSTOP');
  const start = performance.now();
  await Promise.all([
    rejects(t, 'UNAVAILABLE', 'get', () => store.get('/a')),
    rejects(t, 'UNAVAILABLE', 'range', () => store.range('/a')),
    rejects(t, 'UNAVAILABLE', 'revision', () => store.revision()),
    rejects(t, 'UNAVAILABLE', 'transaction', () => store.transaction({ success: [put('/count', '1')] })),
    rejects(t, 'UNAVAILABLE', 'open', () => openEtcd({ endpoints: [member!.url], tls: etcd.certificates.pem })),
  ]);
  const elapsedMs = performance.now() - start;
  t.ok(elapsedMs < TIMEOUT_MS + SLACK_MS, `after ${Math.round(elapsedMs)} ms`);
  member!.signal('SIGCONT');
  const revision = await putSurely(store, '/w/after', 'x');
  await until('the event', () => heard.some((one) => one.revision === revision));
  t.is(heard.length, 2);
  const count = await store.get('/count');
  t.ok(count === null || count.version === 1, 'what was given up was not done twice');
});

test('what waits for a frozen etcd rejects when the client is closed', async (t) => {
  const etcd = await startEtcd(t);
  const [member] = etcd.members;
  const store = await etcd.open(t, { timeoutMs: 60_000 });
  store.watch('/w/', () => {});
  member!.signal('SIGSTOP');
  t.teardown(() => member!.signal('SIGCONT'), { order: 0 });
  const waiting = Promise.all([
    rejects(t, 'CLOSED', 'get', () => store.get('/a')),
    rejects(t, 'CLOSED', 'transaction', () => store.transaction({ success: [put('/a')] })),
  ]);
  await sleep(100);
  await store.close();
  await waiting;
  t.pass('it did not wait for an answer');
});

test('compaction while a watch is cut off: the listener ends up right', async (t) => {
  const etcd = await startEtcd(t);
  const [member] = etcd.members;
  const [nobody] = await freePorts(1);
  const store = await etcd.open(t);
  const other = await etcd.open(t);
  for (const key of ['/w/stays', '/w/changes', '/w/goes', '/w/returns'])
    await other.transaction({ success: [put(key, '1')] });
  const { heard } = listen(store, '/w/');
  const known = new Map((await store.range('/w/')).map(({ key, value }) => [key, text(value)]));
  await store.transaction({ success: [put('/w/own', '1')] });
  store.setEndpoints([`https://127.0.0.1:${nobody}`]);
  // The connection was dropped; nothing is heard from here on.
  await sleep(1000);
  const before = heard.length;
  await other.transaction({ success: [put('/w/changes', '2'), put('/w/new', '1'), { delete: '/w/goes' }] });
  await other.transaction({ success: [{ delete: '/w/returns' }, { delete: '/w/own' }] });
  const last = await other.transaction({ success: [put('/w/returns', '2'), put('/w/brief', '1')] });
  await other.transaction({ success: [{ delete: '/w/brief' }] });
  await etcd.raw(t).kv.compact({ revision: String(await other.revision()), physical: true });
  t.is(heard.length, before, 'the watch was cut off');
  store.setEndpoints([member!.url]);
  await until('the changes', () => heard.some(({ revision }) => revision >= last.revision), 20_000);
  const after = await other.transaction({ success: [put('/w/later', '1')] });
  await until('what comes later', () => heard.some(({ revision }) => revision === after.revision));
  for (const event of heard.flatMap(({ events }) => events)) {
    const [, type, key, value] = /^(put|delete) (.*)=(.*)$/.exec(event)!;
    if (type === 'put') known.set(key!, value);
    else known.delete(key!);
  }
  t.alike(Object.fromEntries(known), {
    '/w/stays': '1',
    '/w/changes': '2',
    '/w/returns': '2',
    '/w/new': '1',
    '/w/later': '1',
  });
  const revisions = heard.map(({ revision }) => revision);
  t.alike(
    revisions,
    [...new Set(revisions)].sort((a, b) => a - b),
    'each revision once, in order',
  );
});

test('three members, the leader killed again and again: nothing is lost, and it goes on', async (t) => {
  const etcd = await startEtcd(t, 3);
  const store = await etcd.open(t);
  const { heard } = listen(store, '/w/');
  const revisions: number[] = [];
  for (let round = 0; round < 3; round++) {
    const leader = await etcd.leader(t);
    const writing = Promise.all([0, 1, 2, 3].map((i) => putSurely(store, `/w/${round}-${i}`, 'x')));
    await leader.kill();
    revisions.push(...(await writing));
    t.pass(`${leader.name} was killed`);
    revisions.push(await putSurely(store, `/w/${round}-without`, 'x'));
    t.is((await store.range('/w/')).length, 5 * (round + 1));
    leader.start();
    await until('it to answer', () => memberAnswers(etcd, leader.url), 20_000);
  }
  revisions.sort((a, b) => a - b);
  await until('all events', () => heard.length >= revisions.length, 20_000);
  t.alike(
    heard.map(({ revision }) => revision),
    revisions,
  );
});

async function memberAnswers(etcd: TestEtcd, url: string): Promise<boolean> {
  try {
    await (await openEtcd({ endpoints: [url], tls: etcd.certificates.pem })).close();
    return true;
  } catch {
    return false;
  }
}

test('three members, one frozen: its watch and its requests move on', async (t) => {
  const etcd = await startEtcd(t, 3);
  const leader = await etcd.leader(t);
  const frozen = etcd.members.find((member) => member !== leader)!;
  const others = etcd.members.filter((member) => member !== frozen).map(({ url }) => url);
  const store = await etcd.open(t, { endpoints: [frozen.socketUrl, ...others], timeoutMs: TIMEOUT_MS });
  const { heard } = listen(store, '/w/');
  await putSurely(store, '/w/before', 'x');
  await until('the event', () => heard.length === 1);
  frozen.signal('SIGSTOP');
  t.teardown(() => frozen.signal('SIGCONT'), { order: 0 });
  const start = performance.now();
  t.is((await store.get('/w/before'))?.version, 1, 'a read is answered by another one');
  const elapsedMs = performance.now() - start;
  t.ok(elapsedMs < TIMEOUT_MS, `after ${Math.round(elapsedMs)} ms`);
  const revision = (await store.transaction({ success: [put('/w/after', 'x')] })).revision;
  t.pass('and so is a transaction, at once');
  await until('the event', () => heard.some((one) => one.revision === revision), 20_000);
});

test('addresses at which nobody answers cost moments', async (t) => {
  const etcd = await startEtcd(t);
  const [nobody] = await freePorts(1);
  // Takes connections, and says nothing. How they end does not matter.
  const silent = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close(), { order: 0 });
  const { port } = silent.address() as { port: number };
  const store = await etcd.open(t, {
    endpoints: [
      'unix:/nowhere/client.sock:1',
      `https://127.0.0.1:${nobody}`,
      `https://127.0.0.1:${port}`,
      `http://127.0.0.1:${port}`,
      etcd.members[0]!.url,
    ],
  });
  const { heard } = listen(store, '/w/');
  for (let i = 0; i < 20; i++) await store.transaction({ success: [put(`/w/${i}`)] });
  t.is((await store.range('/w/')).length, 20);
  await until('all events', () => heard.length === 20);
  await store.close();
  const connections = () => new Promise<number>((resolve) => silent.getConnections((_, count) => resolve(count)));
  await until('its connections to be gone', async () => (await connections()) === 0);
});

test('a client without a certificate is refused', async (t) => {
  const etcd = await startEtcd(t);
  const { ca } = etcd.certificates.pem;
  const stranger = (await startEtcd(t)).certificates.pem;
  const url = etcd.members[0]!.url;
  await rejects(t, 'UNAVAILABLE', 'another authority', () => openEtcd({ endpoints: [url], tls: stranger }));
  await rejects(t, 'UNAVAILABLE', 'another authority’s certificate', () =>
    openEtcd({ endpoints: [url], tls: { ...stranger, ca } }),
  );
});

test('a store of another format, or of something else, is refused', async (t) => {
  const etcd = await startEtcd(t);
  const raw = etcd.raw(t);
  await (await etcd.open(t, { namespace: 'newer' })).close();
  await raw.put('newerformat').value('7');
  await rejects(t, 'WRONG_FORMAT', 'a newer one', () => etcd.open(t, { namespace: 'newer' }));
  try {
    await etcd.open(t, { namespace: 'newer' });
  } catch (error) {
    t.ok(/format 7\b/.test((error as Error).message), (error as Error).message);
  }
  await raw.put('newerformat').value('1');
  await etcd.open(t, { namespace: 'newer' });
  await raw.put('foreign/registry').value('x');
  await rejects(t, 'WRONG_FORMAT', 'somebody else’s', () => etcd.open(t, { namespace: 'foreign' }));
  t.is(await raw.get('foreignformat').string(), null, 'it was left alone');
});

test('a range of many pages is of one moment', async (t) => {
  const etcd = await startEtcd(t);
  const store = await etcd.open(t);
  const keys = Array.from({ length: 1500 }, (_, i) => `/r/${String(i).padStart(4, '0')}`);
  for (let at = 0; at < keys.length; at += 100) {
    await store.transaction({ success: keys.slice(at, at + 100).map((key) => put(key)) });
  }
  const [first, last] = [keys[0]!, keys.at(-1)!];
  let done = false;
  const writing = (async () => {
    for (let i = 0; !done; i++) await store.transaction({ success: [put(first, String(i)), put(last, String(i))] });
  })();
  for (let i = 0; i < 10; i++) {
    const found = await store.range('/r/');
    t.alike(
      found.map(({ key }) => key),
      keys,
    );
    t.is(text(found[0]!.value), text(found.at(-1)!.value));
  }
  done = true;
  await writing;
});

test('a watch hears of a transaction whole, however large', async (t) => {
  const etcd = await startEtcd(t);
  const store = await etcd.open(t, { timeoutMs: 10_000 });
  const large = (name: string) =>
    Array.from({ length: 8 }, (_, i): Operation => ({ put: `/w/${name}-${i}`, value: new Uint8Array(1024 * 1024) }));
  const revisions = [];
  const sizes: number[] = [];
  const heard: number[] = [];
  store.watch('/w/', (events, revision) => {
    heard.push(revision);
    sizes.push(events.length);
  });
  for (const name of ['a', 'b', 'c']) revisions.push((await store.transaction({ success: large(name) })).revision);
  await until('all events', () => heard.length === 3);
  t.alike(heard, revisions);
  t.alike(sizes, [8, 8, 8]);
});

test('the listeners of a client hear of its own transactions before they resolve', async (t) => {
  const etcd = await startEtcd(t);
  const store = await etcd.open(t);
  const { heard } = listen(store, '/w/');
  await store.transaction({ success: [put('/w/first')] });
  await until('the watch to be there', () => heard.length === 1);
  for (let i = 0; i < 30; i++) {
    const change: Operation = i % 3 === 2 ? { delete: `/w/${i - 1}` } : put(`/w/${i}`);
    const { revision } = await store.transaction({ success: [change] });
    t.is(heard.at(-1)!.revision, revision);
  }
});
