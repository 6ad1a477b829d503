/** What is stored of the map, and what is refused as damage: nobody may act on half a map. */
import { test } from 'brittle';
import type { ClusterMap } from '../lib/cluster/cluster-map.js';
import { decodeClusterMap, encodeClusterMap } from '../lib/cluster/cluster-map-record.js';

const GROUP = [[1, 2], [1], 5, 3];
const DISK = { host: 'a', standing: 'in' };
const STORED = {
  format: 2,
  epoch: 7,
  hosts: { a: { up: true, standing: 'in', incarnation: 4, bootId: 'x' } },
  disks: { 1: DISK, 2: DISK },
  tables: { 3: [GROUP] },
};

function decode(value: unknown): ClusterMap {
  return decodeClusterMap(Buffer.from(JSON.stringify(value)));
}

function codeOf(value: unknown): string | undefined {
  try {
    decode(value);
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

const withGroup = (group: unknown) => ({ ...STORED, tables: { 3: [group] } });
const withExtras = (extras: unknown) => withGroup([...GROUP, extras]);

test('cluster map: a stored map is read back, with all that a group may have', (t) => {
  const extras = { joined: { 2: 5 }, leaving: { 1: [6, 4] }, rebooted: [2], forced: 3 };
  const map = decode(withExtras(extras));
  t.alike(map.tables[3], [
    {
      ...{ acting: [1, 2], insync: [1], since: 5, lossy: 3 },
      ...{ joined: { 2: 5 }, leaving: { 1: { epoch: 6, incarnation: 4 } }, rebooted: [2], forced: 3 },
    },
  ]);
  t.alike(decodeClusterMap(encodeClusterMap(map)), map);
});

test('cluster map: what is none is refused', (t) => {
  t.is(codeOf(STORED), undefined);
  for (const value of [
    ...[null, 7, [], {}],
    ...[
      { format: 1 },
      { format: 3 },
      { epoch: 0 },
      { more: 1 },
      { tables: { 3: [] } },
      { tables: { x: [GROUP] } },
      { disks: { 1: DISK } },
      { disks: { 1: DISK, 2: { ...DISK, standing: 'lost' } } },
    ].map((changes) => ({ ...STORED, ...changes })),
  ]) {
    t.is(codeOf(value), 'WRONG_FORMAT', JSON.stringify(value));
  }
  t.exception(() => decodeClusterMap(Buffer.from('{')), /damaged/);
});

test('cluster map: a group that no release stored is refused', (t) => {
  for (const group of [
    ...[null, {}, [], [[1], [1], 5], [...GROUP, {}, {}]],
    ...[
      [[1, 2], [], 5, 3],
      [[1, 1.5], [1], 5, 3],
      [[1, -1], [1], 5, 3],
      [1, [1], 5, 3],
      [[1, 2], [1], 0, 3],
      [[1, 2], [1], '5', 3],
      [[1, 2], [1], 5, null],
    ],
    ...[
      [[1, 9], [1], 5, 3],
      [[2], [1], 5, 3],
      [[1, 2], [1], 8, 3],
      [[1, 2], [1], 5, 8],
    ],
  ]) {
    t.is(codeOf(withGroup(group)), 'WRONG_FORMAT', JSON.stringify(group));
  }
  for (const extras of [
    { more: 1 },
    { joined: { x: 5 } },
    { joined: { 2: 0 } },
    { leaving: { 1: 6 } },
    { forced: 0 },
  ]) {
    t.is(codeOf(withExtras(extras)), 'WRONG_FORMAT', JSON.stringify(extras));
  }
});
