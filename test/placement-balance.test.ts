import { test } from 'brittle';
import { type WantedTable, wantedTable } from '../lib/cluster/level-placement.js';
import type { PlacementHost } from '../lib/cluster/placement.js';

const TB = 1e12;
const PGS = 1024;
const COPIES = 3;
/** Hosts, disks of each, zones (each host its own where 0). */
const CLUSTERS = [
  [3, 1, 0],
  [4, 1, 0],
  [5, 2, 0],
  [7, 4, 0],
  [10, 1, 0],
  [12, 2, 4],
  [20, 2, 0],
  [50, 1, 0],
  [50, 4, 0],
] as const;

function cluster(hosts: number, disks: number, zones: number): PlacementHost[] {
  return Array.from({ length: hosts }, (_, host) => ({
    id: `host${host}`,
    zone: `zone${zones > 0 ? host % zones : host}`,
    disks: Array.from({ length: disks }, (_, disk) => ({ number: host * 10 + disk + 1, weight: TB })),
  }));
}

function loads(table: WantedTable): Map<number, number> {
  const counts = new Map<number, number>();
  for (const disks of table) for (const disk of disks) counts.set(disk, (counts.get(disk) ?? 0) + 1);
  return counts;
}

function moved(before: WantedTable, after: WantedTable): number {
  return after.reduce((sum, disks, pg) => sum + disks.filter((disk) => !before[pg]!.includes(disk)).length, 0);
}

test('placement, balance: no disk has over 10 % more than its share, and each group a disk in so many zones', (t) => {
  for (const [hosts, disks, zones] of CLUSTERS) {
    const all = cluster(hosts, disks, zones);
    const table = wantedTable(all, PGS, COPIES);
    const zoneOf = new Map(all.flatMap(({ zone, disks }) => disks.map(({ number }) => [number, zone] as const)));
    t.ok(table.every((members) => new Set(members.map((disk) => zoneOf.get(disk))).size === COPIES));
    const share = (PGS * COPIES) / (hosts * disks);
    const fullest = Math.max(...loads(table).values()) / share;
    t.ok(fullest <= 1.1, `${hosts} hosts of ${disks} disks: the fullest disk has ${fullest.toFixed(3)} of its share`);
  }
});

test('placement, balance: by weight, where weights differ', (t) => {
  const all = cluster(8, 2, 0).map((host, index) => {
    return { ...host, disks: host.disks.map((disk) => ({ ...disk, weight: TB * (1 + (index % 3)) })) };
  });
  const total = all.reduce((sum, host) => sum + host.disks[0]!.weight * 2, 0);
  const counts = loads(wantedTable(all, PGS, COPIES));
  for (const { disks } of all) {
    for (const { number, weight } of disks) {
      const share = (PGS * COPIES * weight) / total;
      t.ok(counts.get(number)! <= share * 1.1, `disk ${number}: ${(counts.get(number)! / share).toFixed(3)}`);
    }
  }
});

test('placement, balance: a host that comes or goes moves its share and little else', (t) => {
  for (const [hosts, disks, zones] of CLUSTERS) {
    if (hosts < 4) continue;
    const all = cluster(hosts + 1, disks, zones);
    const [fewer, more] = [wantedTable(all.slice(0, hosts), PGS, COPIES), wantedTable(all, PGS, COPIES)];
    const share = (PGS * COPIES) / (hosts + 1);
    // Within a host of several disks some change places, as each has few groups.
    const most = share * (disks > 1 ? 3 : 1.6);
    for (const [name, count] of [['comes', moved(fewer, more)] as const, ['goes', moved(more, fewer)] as const]) {
      t.ok(count <= most, `${hosts} hosts of ${disks} disks, one ${name}: ${(count / share).toFixed(2)} of its share`);
    }
    t.alike(wantedTable(all.slice(0, hosts), PGS, COPIES), fewer, 'and what was moved for it moves back');
  }
});

function alone(weights: readonly number[]): PlacementHost[] {
  return [{ id: 'host', zone: 'zone', disks: weights.map((weight, index) => ({ number: index + 1, weight })) }];
}

test('placement, balance: a host alone keeps one copy of each group, and its disks have their share', (t) => {
  for (const weights of [[1], [1, 1], [1, 1, 1, 1], [1, 2, 8], Array(8).fill(1), Array(24).fill(1)]) {
    const table = wantedTable(alone(weights.map((weight) => weight * TB)), PGS, COPIES);
    t.ok(table.every((disks) => disks.length === 1));
    const counts = loads(table);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const shares = weights.map((weight, index) => counts.get(index + 1)! / ((PGS * weight) / total));
    t.ok(Math.min(...shares) > 0.8 && Math.max(...shares) <= 1.1, `${weights}: ${shares.map((one) => one.toFixed(2))}`);
  }
});

test('placement, balance: consecutive groups spread over the disks of a host', (t) => {
  const table = wantedTable(alone(Array(4).fill(TB)), PGS, COPIES);
  for (let group = 0; group + 64 <= PGS; group += 64) {
    const held = [...loads(table.slice(group, group + 64)).values()];
    if (held.length < 4 || Math.min(...held) < 4) t.fail(`groups ${group} to ${group + 63}: ${held}`);
  }
  t.pass('an image of 256 MiB is on all of them');
});

test('placement, balance: a disk of a host alone that comes or goes moves its share and little else', (t) => {
  for (const count of [1, 2, 3, 4, 7, 8]) {
    const [fewer, more] = [count, count + 1].map((disks) => wantedTable(alone(Array(disks).fill(TB)), PGS, COPIES));
    const share = PGS / (count + 1);
    for (const [name, groups] of [['comes', moved(fewer!, more!)] as const, ['goes', moved(more!, fewer!)] as const]) {
      t.ok(groups <= share * 1.2, `one more than ${count} ${name}: ${(groups / share).toFixed(2)} of its share`);
    }
  }
});

test('placement, balance: a disk that changes its size moves the difference, and next to nothing if that is small', (t) => {
  const sized = (first: number) => wantedTable(alone([first * TB, TB, TB, TB]), PGS, COPIES);
  t.ok(moved(sized(1), sized(1.02)) < PGS / 100);
  const [groups, difference] = [moved(sized(1), sized(2)), (PGS * 2) / 5 - PGS / 4];
  t.ok(groups < difference * 1.3, `${groups} for ${difference.toFixed(0)}`);
});

test('placement, balance: as many copies as zones, and none where there is no space', (t) => {
  t.ok(wantedTable(cluster(2, 1, 0), PGS, COPIES).every((disks) => disks.length === 2));
  t.ok(wantedTable([], PGS, COPIES).every((disks) => disks.length === 0));
});
