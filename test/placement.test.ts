import { createHash } from 'node:crypto';
import { test } from 'brittle';
import { familyOffset, groupAt, type PlacementHost, wantedDisks } from '../lib/cluster/placement.js';

const TB = 1e12;
/** So many that chance moves no share by more than a few percent. */
const GROUPS = 1 << 15;

function host(id: string, weights: number[], zone = id): PlacementHost {
  const first = Number(id.replace(/\D/g, '')) * 100;
  return { id, zone, disks: weights.map((weight, i) => ({ number: first + i, weight })) };
}

/** The disk of one host that is wanted. */
function wantedOf(group: number, disks: PlacementHost['disks']): number | undefined {
  return wantedDisks(group, [{ id: 'h', zone: 'h', disks }], 1)[0];
}

function count(groups: number, place: (group: number) => number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (let group = 0; group < groups; group++) {
    for (const disk of place(group)) counts.set(disk, (counts.get(disk) ?? 0) + 1);
  }
  return counts;
}

test('placement: the formula is what it was, on every machine and for ever', (t) => {
  t.alike(
    [1, 2, 3, 4294967295, Number.MAX_SAFE_INTEGER].map((family) => familyOffset(family, 1024)),
    FIXTURES.offsets,
  );
  const disks = [1, 2, 3, 7, 100].map((number) => ({ number, weight: (1 + (number % 3)) * TB }));
  t.alike(
    Array.from({ length: 16 }, (_, group) => wantedOf(group, disks)),
    FIXTURES.disks,
  );
  const hosts = Array.from({ length: 7 }, (_, i) => host(`h${i}`, [TB, 2 * TB], `z${i >> 1}`));
  const all = Array.from({ length: 1024 }, (_, group) => wantedDisks(group, hosts, 3));
  t.alike(all.slice(0, 4), FIXTURES.groups);
  t.is(createHash('sha256').update(JSON.stringify(all)).digest('hex'), FIXTURES.hash);
});

const FIXTURES = {
  offsets: [611, 435, 899, 743, 969],
  disks: [2, 1, 1, 100, 1, 1, 2, 100, 7, 3, 2, 1, 2, 2, 7, 2],
  groups: [
    [500, 101, 300],
    [1, 201, 600],
    [401, 200, 1],
    [301, 101, 400],
  ],
  hash: '1b622d6a12b72cf5ba735470d6c06827e65058f66b4f0192b6d4c8bf5b5d9a4c',
};

test('placement: consecutive indexes go round all groups, families start apart', (t) => {
  const groups = Array.from({ length: 1024 }, (_, index) => groupAt(familyOffset(17, 1024), index, 1024));
  t.is(new Set(groups).size, 1024);
  t.is(groupAt(familyOffset(17, 1024), 1024, 1024), groups[0]);
  const starts = new Set(Array.from({ length: 200 }, (_, family) => familyOffset(family, 1024)));
  t.ok(starts.size > 160, `${starts.size} starts of 200 families`);
});

test('placement: disks hold their share by weight', (t) => {
  const disks = [1, 2, 3, 4, 6].map((weight, i) => ({ number: i + 1, weight: weight * TB }));
  const counts = count(GROUPS, (group) => [wantedOf(group, disks)!]);
  for (const { number, weight } of disks) within(t, counts.get(number), (GROUPS * weight) / (16 * TB), 0.1);
});

test('placement: hosts hold their share by the sum of their disks, and disks within them', (t) => {
  const hosts = [host('h1', [TB]), host('h2', [TB, TB]), host('h3', [3 * TB, TB])];
  const counts = count(GROUPS, (group) => wantedDisks(group, hosts, 1));
  for (const { disks } of hosts) {
    for (const { number, weight } of disks) within(t, counts.get(number), (GROUPS * weight) / (7 * TB), 0.1);
  }
  const even = Array.from({ length: 6 }, (_, i) => host(`h${i}`, [TB, TB]));
  const copies = count(GROUPS, (group) => wantedDisks(group, even, 3));
  for (const [, held] of copies) within(t, held, (GROUPS * 3) / 12, 0.1);
});

function within(
  t: { ok(value: unknown, message: string): void },
  held: number | undefined,
  share: number,
  tolerance: number,
): void {
  const off = Math.abs((held ?? 0) / share - 1);
  t.ok(off <= tolerance, `${held} of ${share.toFixed(0)}: ${(off * 100).toFixed(1)}% off`);
}

test('placement: at most one copy in a zone, and fewer copies than asked where there are fewer zones', (t) => {
  const hosts = [host('h1', [TB], 'a'), host('h2', [TB], 'a'), host('h3', [TB], 'b'), host('h4', [TB], 'c')];
  const zoneOf = new Map(hosts.flatMap(({ zone, disks }) => disks.map(({ number }) => [number, zone] as const)));
  for (let group = 0; group < 1024; group++) {
    const zones = wantedDisks(group, hosts, 3).map((disk) => zoneOf.get(disk));
    if (new Set(zones).size !== 3) return t.fail(`group ${group} is in zones ${zones}`);
    if (wantedDisks(group, hosts, 5).length !== 3) return t.fail('more copies than zones');
    if (wantedDisks(group, hosts, 2).length !== 2) return t.fail('fewer copies than asked');
  }
  t.alike(wantedDisks(1, [], 3), []);
  return t.pass('every group');
});

test('placement: nothing goes to what has no weight', (t) => {
  const hosts = [host('h1', [0]), host('h2', [0, TB]), host('h3', [TB])];
  const counts = count(1024, (group) => wantedDisks(group, hosts, 3));
  t.alike([...counts.keys()].sort(), [201, 300]);
  t.alike(wantedDisks(1, [host('h1', [0])], 3), []);
});

test('placement: a host that joins takes its share and moves nothing else', (t) => {
  const hosts = Array.from({ length: 5 }, (_, i) => host(`h${i}`, [TB]));
  const more = [...hosts, host('h5', [TB])];
  const groups = 1 << 13;
  let taken = 0;
  for (let group = 0; group < groups; group++) {
    const before = wantedDisks(group, hosts, 3);
    const after = wantedDisks(group, more, 3);
    const gained = after.filter((disk) => !before.includes(disk));
    if (gained.length > 1 || (gained.length === 1 && gained[0] !== 500)) {
      return t.fail(`group ${group} went from ${before} to ${after}`);
    }
    taken += gained.length;
  }
  within(t, taken, (groups * 3) / 6, 0.1);
  return t.pass('read backwards: a host that leaves moves its own share only');
});

test('placement: a disk that becomes larger takes groups from others, and nothing else moves', (t) => {
  const disks = [1, 2, 3, 4].map((number) => ({ number, weight: TB }));
  const grown = disks.map((disk) => (disk.number === 3 ? { ...disk, weight: 2 * TB } : disk));
  for (let group = 0; group < 4096; group++) {
    const [before, after] = [wantedOf(group, disks), wantedOf(group, grown)];
    if (after !== before && after !== 3) return t.fail(`group ${group}: ${before} became ${after}`);
  }
  return t.pass('every group');
});

test('placement: neither the order of hosts nor that of disks matters', (t) => {
  const hosts = Array.from({ length: 5 }, (_, i) => host(`h${i}`, [TB, 2 * TB, TB], `z${i % 4}`));
  const turned = hosts.map((one) => ({ ...one, disks: [...one.disks].reverse() })).reverse();
  for (let group = 0; group < 1024; group++) {
    const [one, other] = [wantedDisks(group, hosts, 3), wantedDisks(group, turned, 3)];
    if (one.join() !== other.join()) return t.fail(`group ${group}: ${one} and ${other}`);
  }
  return t.pass('every group');
});
