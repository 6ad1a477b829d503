/** Which map a host goes by: each test holds one sentence against a store whose answers are made up. */
import { test } from 'brittle';
import type { Clock } from '../lib/cluster/clock.js';
import type { ClusterMap } from '../lib/cluster/cluster-map.js';
import { encodeClusterMap, MAP_KEY } from '../lib/cluster/cluster-map-record.js';
import { MapFollower, type MapFollowerOptions } from '../lib/cluster/map-follower.js';
import type { Coordination } from '../lib/coordination/coordination.js';
import { mapOf } from './helpers/member-script.js';
import { settle } from './helpers/writer-script.js';

/** A follower, what it did in order, and a store that has one map. */
class FollowerScript {
  readonly follower: MapFollower;
  readonly notes: string[] = [];
  /** What is in the store; null: the store does not answer. */
  stored: ClusterMap | null = mapOf(1);
  /** What is in the store cannot be read. */
  damaged = false;
  /** The epoch that preparing fails for. */
  failsAt = 0;
  /** Ends the preparation under way, where `isHeld` says that these take time. */
  release = () => {};
  isHeld = false;
  readonly timers: (() => void)[] = [];

  constructor(options: Partial<MapFollowerOptions> = {}) {
    const clock: Clock = { elapsedMs: () => 0, after: (_, callback) => this.#after(callback) };
    const coordination = {
      get: async () => this.#read(),
      watch: () => ({ close: () => undefined }),
    } as unknown as Coordination;
    this.follower = new MapFollower({
      ...{ coordination, clock, adoptedEpoch: 0 },
      prepare: (map, before) => this.#prepare(map, before),
      adopted: (map) => this.notes.push(`adopted ${map.epoch}`),
      failed: () => this.notes.push('failed'),
      ...options,
    });
  }

  offer(epoch: number): void {
    this.follower.offer(encodeClusterMap(mapOf(epoch)), epoch);
  }

  async #read() {
    if (!this.stored) throw new Error('no answer');
    const { epoch } = this.stored;
    const value = this.damaged ? Buffer.from('{}') : encodeClusterMap(this.stored);
    const modRevision = this.damaged ? epoch + 1 : epoch;
    return { key: MAP_KEY, value, createRevision: 1, modRevision, version: epoch };
  }

  async #prepare(map: ClusterMap, before: ClusterMap): Promise<void> {
    this.notes.push(`prepare ${map.epoch} after ${before.epoch}`);
    if (map.epoch === this.failsAt) throw new Error('the state cannot be stored');
    if (this.isHeld) await new Promise<void>((resolve) => (this.release = resolve));
  }

  #after(callback: () => void): () => void {
    this.timers.push(callback);
    return () => undefined;
  }
}

test('a map is adopted when all that has to be stored for it is stored', async (t) => {
  const script = new FollowerScript();
  script.isHeld = true;
  script.offer(3);
  await settle();
  t.is(script.follower.map.epoch, 0);
  script.release();
  await settle();
  t.is(script.follower.map.epoch, 3);
  t.alike(script.notes, ['prepare 3 after 0', 'adopted 3']);
});

test('a newer map that comes meanwhile is adopted next, one between is passed over', async (t) => {
  const script = new FollowerScript();
  script.isHeld = true;
  for (const epoch of [3, 4, 5]) script.offer(epoch);
  await settle();
  script.isHeld = false;
  script.release();
  await settle();
  t.alike(script.notes, ['prepare 3 after 0', 'adopted 3', 'prepare 5 after 3', 'adopted 5']);
});

test("a host's adopted epoch never goes down", async (t) => {
  const script = new FollowerScript({ adoptedEpoch: 4 });
  for (const epoch of [3, 4, 6, 5]) {
    script.offer(epoch);
    await settle();
  }
  t.alike(script.notes, ['prepare 4 after 0', 'adopted 4', 'prepare 6 after 4', 'adopted 6']);
});

test('a map that a peer has seen is read from the store until that has it', async (t) => {
  const script = new FollowerScript();
  script.stored = null;
  script.follower.fetch(2);
  await settle();
  for (const [stored, epoch] of [
    [mapOf(1), 1],
    [mapOf(2), 2],
  ] as const) {
    script.stored = stored;
    script.timers.pop()!();
    await settle();
    t.is(script.follower.map.epoch, epoch);
  }
  t.is(script.timers.length, 0, 'and not again');
});

test('a map that could not be prepared for is tried again', async (t) => {
  const script = new FollowerScript();
  script.failsAt = 3;
  script.offer(3);
  await settle();
  script.failsAt = 0;
  t.alike(script.notes, ['prepare 3 after 0', 'failed']);
  script.timers.pop()!();
  await settle();
  t.is(script.follower.map.epoch, 3);
});

test('who reads the map from the store is never given an older one than that has', async (t) => {
  const script = new FollowerScript();
  script.stored = mapOf(2);
  t.is((await script.follower.refresh()).epoch, 2);
  script.stored = mapOf(3);
  script.failsAt = 3;
  let epoch = 0;
  const reading = script.follower.refresh().then((map) => {
    epoch = map.epoch;
  });
  await settle();
  t.is(epoch, 0, 'it waits');
  script.failsAt = 0;
  script.timers.pop()!();
  await reading;
  t.is(epoch, 3);
  script.damaged = true;
  await t.exception(script.follower.refresh());
});

test('a map that nobody can read is told, and the one before stays', async (t) => {
  const script = new FollowerScript();
  script.offer(2);
  script.follower.offer(Buffer.from('{"format":99}'), 3);
  await settle();
  t.alike(script.notes, ['prepare 2 after 0', 'failed', 'adopted 2']);
});

test('a map that comes right when the one before was adopted is adopted as well', async (t) => {
  for (let turns = 0; turns < 6; turns++) {
    const script: FollowerScript = new FollowerScript({
      adopted: async (map) => {
        script.notes.push(`adopted ${map.epoch}`);
        for (let turn = 0; turn < turns; turn++) await null;
        if (map.epoch === 2) script.offer(3);
      },
    });
    script.offer(2);
    await settle();
    t.is(script.follower.map.epoch, 3, `${turns} turns later`);
  }
});

test('that a map cannot be prepared for once the host has stopped is no failure', async (t) => {
  const script: FollowerScript = new FollowerScript({
    prepare: async () => {
      script.follower.close();
      throw new Error('the host has stopped');
    },
  });
  script.offer(2);
  await settle();
  t.alike(script.notes, []);
  t.is(script.timers.length, 0);
});
