import { test } from 'brittle';
import { aliveKey, evictKey } from '../lib/cluster/alive-record.js';
import type { Clock } from '../lib/cluster/clock.js';
import type { ClusterMap } from '../lib/cluster/cluster-map.js';
import { decodeClusterMap, encodeClusterMap } from '../lib/cluster/cluster-map-record.js';
import { Conductor } from '../lib/cluster/conductor.js';
import { ConductorDriver } from '../lib/cluster/conductor-driver.js';
import { decodeConductorRecord } from '../lib/cluster/conductor-record.js';
import { hostKey } from '../lib/cluster/host-record.js';
import { encodeHostRecord } from '../lib/cluster/host-records.js';
import { HostLiveness } from '../lib/cluster/liveness.js';
import { LivenessDriver } from '../lib/cluster/liveness-driver.js';
import { NEXT_MAP_DEFAULTS } from '../lib/cluster/observation.js';
import { RecordError } from '../lib/cluster/record.js';
import type {
  Compare,
  Coordination,
  KeyValue,
  Operation,
  Transaction,
  TransactionResult,
  Watch,
} from '../lib/coordination/coordination.js';
import { hostRecord } from './helpers/map-world.js';
import { StepClock } from './helpers/step-clock.js';

const TTL = 4000;
const OPTIONS = { ...NEXT_MAP_DEFAULTS, ttlMs: TTL, pgs: 4 };

/** As much of a store as transactions need; it rejects, or never answers, when told to. */
class FakeStore {
  readonly data = new Map<string, KeyValue>();
  readonly #watches = new Set<{ prefix: string; listener: Parameters<Coordination['watch']>[1] }>();
  trouble: 'none' | 'rejects' | 'silent' = 'none';
  revision = 1;

  async transaction({ compare = [], success = [], failure = [] }: Transaction): Promise<TransactionResult> {
    if (this.trouble === 'rejects') throw new Error('no majority');
    if (this.trouble === 'silent') return new Promise(() => undefined);
    const succeeded = compare.every((each) => this.#holds(each));
    const operations = succeeded ? success : failure;
    if (operations.some((operation) => 'put' in operation || 'delete' in operation)) this.revision++;
    return { succeeded, revision: this.revision, responses: operations.map((operation) => this.#carryOut(operation)) };
  }

  #holds(compare: Compare): boolean {
    return 'modRevision' in compare && (this.data.get(compare.key)?.modRevision ?? 0) === compare.modRevision;
  }

  #carryOut(operation: Operation): KeyValue[] {
    if ('put' in operation) this.#put(operation.put, operation.value);
    else if ('delete' in operation) this.data.delete(operation.delete);
    else if ('get' in operation) return this.data.has(operation.get) ? [this.data.get(operation.get)!] : [];
    else if ('range' in operation) return [...this.data.values()].filter(({ key }) => key.startsWith(operation.range));
    return [];
  }

  #put(key: string, value: Uint8Array): void {
    const keyValue = { key, value, createRevision: 1, modRevision: this.revision, version: 1 };
    this.data.set(key, keyValue);
    for (const { prefix, listener } of this.#watches) {
      if (key.startsWith(prefix)) queueMicrotask(() => listener([{ type: 'put', keyValue }], this.revision));
    }
  }

  watch(prefix: string, listener: Parameters<Coordination['watch']>[1]): Watch {
    const watch = { prefix, listener };
    this.#watches.add(watch);
    return { close: () => this.#watches.delete(watch) };
  }

  get map(): ClusterMap | null {
    const found = this.data.get('/map');
    return found ? decodeClusterMap(found.value) : null;
  }

  get conductor(): string {
    const found = this.data.get('/conductor');
    return found ? decodeConductorRecord(found.value).host : '';
  }
}

class TestHost {
  readonly conductor: Conductor;
  readonly liveness: HostLiveness;
  readonly failures: unknown[] = [];
  unreachable: string[] = [];
  readonly #drivers: { close(): void }[];

  constructor(id: string, incarnation: number, store: FakeStore, clock: Clock) {
    const coordination = store as unknown as Coordination;
    const disk = id.charCodeAt(0) - 96;
    const record = encodeHostRecord(hostRecord(id, [disk]));
    store.data.set(hostKey(id), { key: hostKey(id), value: record, createRevision: 1, modRevision: 1, version: 1 });
    this.conductor = new Conductor({ host: id, incarnation, sinceMs: clock.elapsedMs(), options: OPTIONS });
    this.liveness = new HostLiveness({ host: id, bootId: `${id}1`, incarnation, ttlMs: TTL, marginMs: 500 });
    const failed = (error: unknown) => void this.failures.push(error);
    let adopted = 0;
    const liveness = new LivenessDriver({
      coordination,
      clock,
      liveness: this.liveness,
      state: () => ({
        adopted,
        disks: [{ number: disk, opens: 1, free: 1, room: 'ample' }],
        unreachable: this.unreachable,
      }),
      storeIncarnation: async (raised) => this.conductor.raised(raised, clock.elapsedMs()),
      sawMap: ({ value, modRevision }) => {
        const map = decodeClusterMap(value);
        adopted = map.epoch;
        liveness.adopted(map, modRevision);
      },
      changed: () => undefined,
      evicted: () => undefined,
      failed,
    });
    const conductor = new ConductorDriver({ coordination, clock, conductor: this.conductor, ttlMs: TTL, failed });
    this.#drivers = [liveness, conductor];
    liveness.start();
    conductor.start();
  }

  close(): void {
    for (const driver of this.#drivers) driver.close();
  }
}

function cluster(ids: string) {
  const [store, clock] = [new FakeStore(), new StepClock()];
  const hosts = new Map([...ids].map((id) => [id, new TestHost(id, 1, store, clock)]));
  return { store, clock, hosts, host: (id: string) => hosts.get(id)! };
}

test('conductor: hosts that start make a map in which all are up, and answer', async (t) => {
  const { store, clock, hosts } = cluster('abc');
  await clock.pass(3 * TTL);
  t.alike(
    Object.values(store.map!.hosts).map(({ up }) => up),
    [true, true, true],
  );
  t.ok([...hosts.values()].every(({ liveness }) => liveness.mayAnswer(clock.now)));
  t.is([...hosts.values()].filter(({ conductor }) => conductor.isConductor).length, 1);
  const { epoch } = store.map!;
  await clock.pass(3 * TTL);
  t.is(store.map!.epoch, epoch, 'and nothing changes then');
});

test('conductor: another host takes the key after seeing it unchanged for a TTL, and marks the first down', async (t) => {
  const { store, clock, host } = cluster('abc');
  await clock.pass(3 * TTL);
  const first = store.conductor;
  host(first).close();
  await clock.pass(TTL - 1000);
  t.is(store.conductor, first);
  await clock.pass(3 * TTL);
  t.not(store.conductor, first);
  t.is(store.map!.hosts[first]!.up, false);
  t.is(host(first).liveness.mayAnswer(clock.now), false);
});

test('conductor: a new incarnation of the host that the key names takes it at once', async (t) => {
  const { store, clock, host } = cluster('abc');
  await clock.pass(3 * TTL);
  const first = store.conductor;
  host(first).close();
  const again = new TestHost(first, 2, store, clock);
  await clock.pass(1500);
  t.is(store.conductor, first);
  t.is(again.conductor.isConductor, true);
});

test('conductor: a host that renewed since is not marked down', async (t) => {
  const { store, clock, host } = cluster('ab');
  await clock.pass(3 * TTL);
  const conductor = host(store.conductor).conductor;
  const other = store.conductor === 'a' ? 'b' : 'a';
  host('a').close();
  host('b').close();
  const look = async (nowMs: number) => {
    conductor.looked(nowMs, nowMs, await store.transaction(conductor.look(nowMs)));
    return conductor.decide(nowMs);
  };
  await look(clock.now);
  const [decision] = await look(clock.now + TTL);
  const { compare } = decision!.transaction;
  t.ok(compare!.some(({ key }) => key === '/map'));
  t.ok(compare!.some(({ key }) => key === '/conductor'));
  t.ok(compare!.some(({ key }) => key === aliveKey(other)));
  await store.transaction({ success: [{ put: aliveKey(other), value: store.data.get(aliveKey(other))!.value }] });
  t.is((await store.transaction(decision!.transaction)).succeeded, false);
});

test('conductor: a host that others cannot reach is thrown out, and let in when it reaches them', async (t) => {
  const { store, clock, host } = cluster('abc');
  await clock.pass(4 * TTL);
  for (const [from, ...peers] of ['ac', 'bc', 'cab']) host(from!).unreachable = peers;
  await clock.pass(1500);
  t.ok(store.data.has(evictKey('c')));
  await clock.pass(2 * TTL);
  t.is(store.map!.hosts.c!.up, false);
  for (const id of 'abc') host(id).unreachable = [];
  const { conductor: present } = host(store.conductor);
  present.report(clock.now, { type: 'reaches', host: 'c', peers: ['a', 'b'] });
  await clock.pass(2 * TTL);
  t.absent(store.data.has(evictKey('c')));
  t.is(store.map!.hosts.c!.up, true);
});

test('conductor: one that all others cannot reach is thrown out itself, and another conducts', async (t) => {
  const { store, clock, host } = cluster('abcd');
  await clock.pass(4 * TTL);
  const cut = store.conductor;
  const others = [...'abcd'].filter((id) => id !== cut);
  // It hears of none of their reports, and they of none of its maps but by the store.
  host(cut).unreachable = others;
  for (const id of others) host(id).unreachable = [cut];
  await clock.pass(1500);
  t.ok(store.data.has(evictKey(cut)));
  t.absent(
    others.some((id) => store.data.has(evictKey(id))),
    'no other is',
  );
  await clock.pass(3 * TTL);
  t.is(store.map!.hosts[cut]!.up, false);
  t.not(store.conductor, cut);
  t.is(host(cut).conductor.isConductor, false);
});

test('conductor: a host that starts over and over leaves the role to others, who can tell', async (t) => {
  const { store, clock, host } = cluster('abc');
  await clock.pass(3 * TTL);
  const flapping = store.conductor;
  host(flapping).close();
  for (let incarnation = 2; incarnation < 14; incarnation++) {
    const again = new TestHost(flapping, incarnation, store, clock);
    await clock.pass(TTL);
    again.close();
  }
  t.not(store.conductor, flapping);
  const last = new TestHost(flapping, 14, store, clock);
  await clock.pass(TTL);
  t.absent(
    store.map!.tables[3]!.some(({ insync }) => insync.includes(flapping.charCodeAt(0) - 96)),
    'its disks are out',
  );
  last.close();
});

test('conductor: a store that rejects or never answers is asked again, and nobody answers meanwhile', async (t) => {
  for (const trouble of ['rejects', 'silent'] as const) {
    const { store, clock, hosts } = cluster('abc');
    await clock.pass(3 * TTL);
    store.trouble = trouble;
    await clock.pass(4 * TTL);
    t.absent(
      [...hosts.values()].some(({ liveness }) => liveness.mayAnswer(clock.now)),
      trouble,
    );
    store.trouble = 'none';
    await clock.pass(4 * TTL);
    t.ok(
      [...hosts.values()].every(({ liveness }) => liveness.mayAnswer(clock.now)),
      `${trouble}: all answer again`,
    );
  }
});

test('conductor: a host that starts again is up as soon as its heartbeat is there, the conductor itself too', async (t) => {
  const { store, clock, host } = cluster('abc');
  await clock.pass(3 * TTL);
  const first = store.conductor;
  for (const id of [first === 'a' ? 'b' : 'a', first]) {
    host(id).close();
    await clock.pass(500);
    new TestHost(id, 7, store, clock);
    await clock.pass(100);
    t.alike([store.map!.hosts[id]!.up, store.map!.hosts[id]!.incarnation], [true, 7], id);
    t.is(store.conductor, first);
  }
});

test('conductor: a map of a newer format is refused with a clear error, and nobody conducts by it', async (t) => {
  const bytes = Buffer.from(JSON.stringify({ format: 99 }));
  t.exception(() => decodeClusterMap(bytes), /format 99.*newer/);
  const { store, clock, host } = cluster('a');
  host('a').close();
  store.data.set('/map', { key: '/map', value: bytes, createRevision: 1, modRevision: 1, version: 1 });
  const conductor = new Conductor({ host: 'b', incarnation: 1, sinceMs: 0, options: OPTIONS });
  const errors: unknown[] = [];
  const driver = new ConductorDriver({
    coordination: store as unknown as Coordination,
    clock,
    conductor,
    ttlMs: TTL,
    failed: (error) => errors.push(error),
  });
  t.teardown(() => driver.close());
  driver.start();
  await clock.pass(3 * TTL);
  t.ok(errors[0] instanceof RecordError);
  t.is(conductor.isConductor, false);
});

test('conductor: a map of 50 hosts and three tables of 1,024 groups stays under 1 MiB, and reads back', (t) => {
  const numbers = Array.from({ length: 200 }, (_, index) => 10_000 + index);
  const group = (pg: number) => ({
    acting: [0, 50, 100, 150].map((first) => numbers[(pg + first) % 200]!),
    insync: [0, 50].map((first) => numbers[(pg + first) % 200]!),
    since: 1_000_000,
    lossy: 999_999,
    joined: { [numbers[(pg + 100) % 200]!]: 1_000_000 },
    leaving: { [numbers[(pg + 150) % 200]!]: { epoch: 1_000_000, incarnation: 1_000_000 } },
    rebooted: [numbers[pg % 200]!],
  });
  const table = Array.from({ length: 1024 }, (_, pg) => group(pg));
  const hosts = Array.from({ length: 50 }, (_, index) => {
    const host = { up: true, standing: 'in', incarnation: 1_000_000, bootId: '0'.repeat(36) } as const;
    return [`host-${'0'.repeat(30)}${index}`, host] as const;
  });
  const map: ClusterMap = {
    format: 2,
    epoch: 1_000_001,
    hosts: Object.fromEntries(hosts),
    disks: Object.fromEntries(numbers.map((number) => [number, { host: hosts[number % 50]![0], standing: 'in' }])),
    tables: { 1: table, 2: table, 3: table },
  };
  const bytes = encodeClusterMap(map);
  t.ok(bytes.length < 1024 * 1024, `${bytes.length} bytes, with every group moving`);
  t.alike(decodeClusterMap(bytes), map);
});
