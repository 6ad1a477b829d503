/** What a killed worker costs its guests: on a simulated cluster, with latencies that do not vary. */
import { type Assertions, test } from 'brittle';
import type { Message } from '../lib/replication/messages.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { decodeWriter, writerKey } from '../lib/replication/writer-record.js';
import { CALM_NETWORK } from './simulation/network-conditions.js';
import type { Run, SimulatedHost } from './simulation/simulated-host.js';
import { CALM_STORE } from './simulation/store-conditions.js';
import { World } from './simulation/world.js';

const OBJECTS = 64;
const IN_FLIGHT = 16;
const BLOCK_BYTES = 64 * 1024;
const STORE_MS = 1;
const ROUND_TRIP_MS = 2 * STORE_MS;

/** What is in the second and in the last write of an object. */
const BEFORE = Buffer.alloc(4096, 1);
const BEFORE_AT = 8192;
const AFTER = Buffer.alloc(4096, 2);

interface Spot {
  readonly index: number;
  readonly offset: number;
}

class Cluster {
  readonly world = new World({ seed: 7, hosts: 3, disksPerHost: 2, pgs: 8, copies: [3] });
  #vdi = 0;
  /** Bytes of their copies that hosts were asked to compare. */
  readonly compared = new Map<string, number>();

  async start(): Promise<void> {
    const { network, store, hosts } = this.world;
    network.conditions = { ...CALM_NETWORK, latencyMs: [0.1, 0.1], connectMs: [1, 1], noticeMs: [0.2, 0.2] };
    store.conditions = { ...CALM_STORE, travelMs: [STORE_MS, STORE_MS], watchMs: [STORE_MS, STORE_MS] };
    for (const host of hosts) host.start();
    await this.pass(60_000, () => this.world.unhealthy === null);
    for (const host of hosts) this.#watch(host);
    const size = OBJECTS * OBJECT_BYTES;
    const created = hosts[0]!.run!.vdis.create('image', { size, mode: 0o600, uid: 0, gid: 0, copies: 3 });
    this.#vdi = (await this.settle(created)).id;
  }

  async write(run: Run, { index, offset }: Spot, data: Buffer): Promise<void> {
    await (await run.vdis.load(this.#vdi)).write(index * OBJECT_BYTES + offset, data);
  }

  async read(run: Run, { index, offset }: Spot, length: number): Promise<Buffer> {
    const found = Buffer.alloc(length);
    await (await run.vdis.load(this.#vdi)).read(index * OBJECT_BYTES + offset, found);
    return found;
  }

  /** Resolves when all copies are equal. */
  async equalize(run: Run): Promise<void> {
    await (await run.vdis.load(this.#vdi)).objects.settle();
  }

  /** The host that holds the image's writer role. */
  get holder(): SimulatedHost {
    const { holder } = decodeWriter(this.world.store.peek(writerKey(this.#vdi))!.value);
    return this.world.hosts.find(({ id }) => id === holder?.host)!;
  }

  async pass(ms: number, until: () => boolean = () => false): Promise<void> {
    const { scheduler } = this.world;
    await scheduler.run({ untilMs: scheduler.nowMs + ms, until: () => until() || this.world.failure !== null });
    if (this.world.failure) throw this.world.failure;
  }

  async settle<T>(work: Promise<T>): Promise<T> {
    let isSettled = false;
    work.finally(() => {
      isSettled = true;
    });
    await this.pass(60_000, () => isSettled);
    return work;
  }

  get conductor(): string {
    return JSON.parse(Buffer.from(this.world.store.peek('/conductor')!.value).toString()).host;
  }

  /** The requests that a host gets from others, before it does. */
  #watch(host: SimulatedHost): void {
    const { cluster } = host.run!;
    const received = cluster.received.bind(cluster);
    cluster.received = (from, session, message: Message) => {
      if (message.type === 'change' && message.change.kind === 'inspect') {
        const { blocks } = message.change;
        const bytes = blocks ? blocks.reduce((sum, { length }) => sum + length, 0) : OBJECT_BYTES;
        this.compared.set(host.id, (this.compared.get(host.id) ?? 0) + bytes);
      }
      received(from, session, message);
    };
  }
}

/** Kills the worker with writes in flight; a guest's next write waits for the next one. */
async function restart(t: Assertions, isConductor: boolean): Promise<void> {
  const cluster = new Cluster();
  await cluster.start();
  const { world, compared } = cluster;
  const host = world.hosts.find(({ id }) => (id === cluster.conductor) === isConductor)!;
  const own = host.run!;
  for (let index = 0; index < OBJECTS; index++) {
    await cluster.settle(cluster.write(own, { index, offset: 0 }, Buffer.alloc(OBJECT_BYTES / 4, index)));
  }
  for (let index = 0; index < OBJECTS; index++) {
    await cluster.settle(cluster.write(own, { index, offset: BEFORE_AT }, BEFORE));
  }
  const spots = Array.from({ length: IN_FLIGHT }, (_, index) => ({ index, offset: (index % 4) * BLOCK_BYTES }));
  let answered = 0;
  for (const spot of spots) void cluster.write(own, spot, AFTER).then(() => answered++);
  // Some members have them by now, others have not.
  await cluster.pass(0.15);
  host.kill();
  t.is(answered, 0);

  const startMs = world.scheduler.nowMs;
  const { requests } = world.store.counters;
  host.start();
  const run = await cluster.settle(host.running());
  await cluster.settle(cluster.write(run, { index: 0, offset: 0 }, AFTER));
  const pauseMs = world.scheduler.nowMs - startMs;
  // Of all hosts: more than were made one after the other.
  const roundTrips = world.store.counters.requests - requests;
  t.comment(`${pauseMs.toFixed(1)} ms, ${roundTrips} requests to the store`);
  t.ok(pauseMs < 100 + roundTrips * ROUND_TRIP_MS, `${pauseMs.toFixed(1)} ms`);
  t.ok(roundTrips <= 16, `${roundTrips} requests to the store`);

  await cluster.settle(cluster.equalize(run));
  const others = world.hosts.filter((each) => each !== host);
  for (const { id } of others) {
    const bytes = compared.get(id) ?? 0;
    t.ok(bytes > 0 && bytes <= IN_FLIGHT * BLOCK_BYTES, `${id} compared ${bytes} bytes`);
  }
  await checkAll(t, cluster, spots);
}

/** The kernel sends again what was in flight; then every copy has it, and what was there before. */
async function checkAll(t: Assertions, cluster: Cluster, spots: readonly Spot[]): Promise<void> {
  const { world, holder } = cluster;
  for (const spot of spots) await cluster.settle(cluster.write(holder.run!, spot, AFTER));
  let wrong = 0;
  for (const { run } of world.hosts) {
    for (let index = 0; index < OBJECTS; index++) {
      const found = await cluster.settle(cluster.read(run!, { index, offset: 0 }, OBJECT_BYTES / 4));
      const expected = Buffer.alloc(OBJECT_BYTES / 4, index);
      BEFORE.copy(expected, BEFORE_AT);
      const spot = spots.find((each) => each.index === index);
      if (spot) AFTER.copy(expected, spot.offset);
      if (!found.equals(expected)) wrong++;
    }
  }
  t.is(wrong, 0, 'every host shows what was written');
}

test('a worker that is killed with writes in flight costs milliseconds', (t) => restart(t, false));

test('the worker of the conductor costs no more', (t) => restart(t, true));
