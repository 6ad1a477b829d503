import { test } from 'brittle';
import { type ClusterMap, EMPTY_MAP } from '../lib/cluster/cluster-map.js';
import { HostLiveness, type Renewal } from '../lib/cluster/liveness.js';
import { Observer } from '../lib/cluster/observer.js';

const TTL = 4000;
const MARGIN = 500;
const STATE = { adopted: 1, disks: [] };

function mapWith(up: boolean, incarnation: number, epoch = 1): ClusterMap {
  return { ...EMPTY_MAP, epoch, hosts: { a: { up, standing: 'in', incarnation, bootId: 'a1' } } };
}

function host(): HostLiveness {
  return new HostLiveness({ host: 'a', bootId: 'a1', incarnation: 3, ttlMs: TTL, marginMs: MARGIN });
}

function store(liveness: HostLiveness, renewal: Renewal, mapRevision = 10, succeeded = true) {
  const map = { key: '/map', value: new Uint8Array(), createRevision: 1, modRevision: mapRevision, version: 1 };
  return liveness.answered(renewal, { succeeded, revision: 20, responses: [[], [map]] }).type;
}

test('liveness: answers until TTL - margin after it sent the last renewal that was stored', (t) => {
  const liveness = host();
  liveness.adopt(mapWith(true, 3), 10);
  t.is(liveness.mayAnswer(0), false, 'not before it renewed');
  const renewal = liveness.renew(100, STATE);
  t.is(store(liveness, renewal), 'renewed');
  t.is(liveness.mayAnswer(100 + TTL - MARGIN - 1), true, 'sent, not answered, is what counts');
  t.is(liveness.mayAnswer(100 + TTL - MARGIN), false);
  const [earlier, later] = [liveness.renew(200, STATE), liveness.renew(300, STATE)];
  store(liveness, later);
  store(liveness, earlier);
  t.is(liveness.answersUntilMs, 300 + TTL - MARGIN, 'in any order');
});

test('liveness: a renewal requires that nobody throws the host out, and reads the map', (t) => {
  const liveness = host();
  liveness.adopt(mapWith(true, 3), 10);
  const renewal = liveness.renew(0, STATE);
  t.alike(renewal.transaction.compare, [{ key: '/evict/a', modRevision: 0 }]);
  t.alike(renewal.transaction.success![1], { get: '/map' });
  t.is(store(liveness, renewal, 10, false), 'evicted');
  t.is(liveness.mayAnswer(1), false);
});

test('liveness: answers only under a map at least as new as its last renewal saw', (t) => {
  const liveness = host();
  liveness.adopt(mapWith(true, 3), 10);
  store(liveness, liveness.renew(0, STATE), 11);
  t.is(liveness.mayAnswer(1), false);
  liveness.adopt(mapWith(true, 3, 2), 11);
  t.is(liveness.mayAnswer(1), true);
});

test('liveness: answers only where it is up with its present incarnation', (t) => {
  for (const map of [mapWith(false, 3), mapWith(true, 2), mapWith(true, 4), EMPTY_MAP]) {
    const liveness = host();
    liveness.adopt(map, 10);
    store(liveness, liveness.renew(0, STATE));
    t.is(liveness.mayAnswer(1), false);
  }
});

test('liveness: raises its incarnation when it reads a map in which it is not up, once', (t) => {
  const liveness = host();
  liveness.adopt(mapWith(true, 3), 10);
  t.is(liveness.raiseTo, null);
  const before = liveness.renew(0, STATE);
  liveness.adopt(mapWith(false, 3, 2), 11);
  t.is(liveness.raiseTo, 4);
  liveness.raised(4);
  t.is(store(liveness, before, 11), 'outdated', 'a renewal of the incarnation before counts no more');
  liveness.adopt(mapWith(false, 3, 3), 12);
  t.is(liveness.raiseTo, null, 'that one never was up');
  liveness.adopt(mapWith(false, 4, 4), 13);
  t.is(liveness.raiseTo, 5, 'it was up meanwhile, and is down again');
});

test('liveness: a conductor counts unchanged from its first sight, and renewed from the look before', (t) => {
  const observer = new Observer();
  const look = (sent: number, answered: number, modRevision: number) => {
    const record = { incarnation: 1, bootId: 'a1', adopted: 1, counter: modRevision, disks: [] };
    const alive = new Map([['a', { record, modRevision }]]);
    observer.saw(sent, answered, { alive, evicted: new Set(), map: mapWith(true, 1) });
    return observer.observed(answered).a!;
  };
  t.is(look(0, 10, 5).renewedMs, null, 'what was there from the start may be old');
  t.is(look(500, 510, 5).unchangedMs, 500);
  const changed = look(1000, 1300, 6);
  t.is(changed.unchangedMs, 0);
  t.is(changed.renewedMs, 800, 'it may have been stored right after the look before was sent');
  t.is(observer.revisionOf('a'), 6);
});

test('liveness: a host that never wrote a heartbeat expires too', (t) => {
  const observer = new Observer();
  const sighting = { alive: new Map(), evicted: new Set<string>(), map: mapWith(true, 1) };
  observer.saw(0, 0, sighting);
  observer.saw(TTL, TTL, sighting);
  t.is(observer.observed(TTL).a!.unchangedMs, TTL);
});

test('liveness: more than three incarnations in a minute, and disks are out for a growing time', (t) => {
  const observer = new Observer();
  let revision = 0;
  const look = (now: number, incarnation: number) => {
    const record = { incarnation, bootId: 'a1', adopted: 1, counter: 0, disks: [] };
    const alive = new Map([['a', { record, modRevision: ++revision }]]);
    observer.saw(now, now, { alive, evicted: new Set(), map: mapWith(true, 1) });
    return observer.observed(now).a!.keptOutMs;
  };
  look(0, 1);
  t.is(look(10_000, 4), null);
  t.is(look(20_000, 5), 0);
  t.is(look(79_999, 5), 59_999);
  t.is(look(80_000, 5), null);
  t.is(look(90_000, 9), 0);
  t.is(look(90_000 + 119_999, 9), 119_999, 'twice as long');
  t.is(look(90_000 + 120_000, 9), null);
});
