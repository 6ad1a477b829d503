import { test } from 'brittle';
import { type ClusterMap, EMPTY_MAP } from '../lib/cluster/cluster-map.js';
import { Fence } from '../lib/replication/fence.js';
import { Inquiries } from '../lib/replication/inquiries.js';
import type { FencedDisk, FenceRequest } from '../lib/replication/messages.js';
import { blocksOf, unequalObjects } from '../lib/replication/unequal.js';

const COPIES = 3;
const BLOCK = 64 * 1024;

/** Hosts a, b, c with disks 1, 2, 3, and one group. */
function mapOf(
  epoch: number,
  group: { acting: number[]; insync?: number[]; joined?: Record<number, number> },
  down: string[] = [],
): ClusterMap {
  const host = (id: string) => {
    return { up: !down.includes(id), standing: 'in', incarnation: 1, bootId: `${id}1` } as const;
  };
  const disk = (id: string) => ({ host: id, standing: 'in' }) as const;
  return {
    ...EMPTY_MAP,
    epoch,
    hosts: { a: host('a'), b: host('b'), c: host('c') },
    disks: { 1: disk('a'), 2: disk('b'), 3: disk('c') },
    tables: { [COPIES]: [{ insync: [1, 2, 3], since: 1, lossy: 0, ...group }] },
  };
}

const range = (index: number, offset: number, length: number) => ({ family: 7, index, offset, length });
const active = (index: number) => ({ family: 7, layer: 1, index, isOthers: false });

function answerOf(disk: number, fields: Partial<FencedDisk['ring']> = {}): FencedDisk {
  const bootId = `${'abc'[disk - 1]}1`;
  return { disk, active: [active(4)], ring: { bootId, complete: true, ranges: [], ...fields } };
}

const found = (map: ClusterMap, answers: FencedDisk[]) => unequalObjects(map, COPIES, answers, () => 0);

test('where all members have a whole ring, what differs lies in the blocks of their ranges', (t) => {
  const answers = [
    answerOf(1, { ranges: [range(4, 100, 10)] }),
    answerOf(2, { ranges: [range(4, BLOCK, 1)] }),
    answerOf(3),
  ];
  t.alike(found(mapOf(5, { acting: [1, 2, 3] }), answers), [
    { family: 7, layer: 1, index: 4, blocks: [{ offset: 0, length: 2 * BLOCK }] },
  ]);
});

test('what is active in no range is equal', (t) => {
  const answers = [1, 2, 3].map((disk) => answerOf(disk, { ranges: [range(5, 0, 10)] }));
  t.alike(found(mapOf(5, { acting: [1, 2, 3] }), answers)[0]?.blocks, []);
});

test('a whole object may differ where a member did not answer, or its ring does not tell all', (t) => {
  const map = mapOf(5, { acting: [1, 2, 3] });
  const one = answerOf(1, { ranges: [range(4, 0, 10)] });
  for (const others of [
    [answerOf(2)],
    [answerOf(2), answerOf(3, { complete: false })],
    [answerOf(2), answerOf(3, { bootId: 'c2' })],
    [answerOf(2), { ...answerOf(3), active: [{ ...active(4), isOthers: true }] }],
  ]) {
    t.is(found(map, [one, ...others])[0]?.blocks, null);
  }
  t.is(found(mapOf(5, { acting: [] }), [one, answerOf(2), answerOf(3)])[0]?.blocks, null, 'nobody is a member');
  t.alike(found(mapOf(5, { acting: [1, 2] }), [one, answerOf(2)])[0]?.blocks, [{ offset: 0, length: BLOCK }]);
});

test('ranges are rounded out to blocks, in their order', (t) => {
  t.alike(blocksOf([range(0, 5 * BLOCK - 1, 2), range(0, 0, 1), range(0, 3, 4)]), [
    { offset: 0, length: BLOCK },
    { offset: 4 * BLOCK, length: 2 * BLOCK },
  ]);
  t.alike(blocksOf([]), []);
});

/** A fence whose hosts all answer, with the disks that they have; `silent` have failed, and are in the map still. */
async function fenced(map: ClusterMap, silent: number[] = []) {
  const hosts: Record<string, number> = { a: 1, b: 2, c: 3 };
  const inquiries: Inquiries = new Inquiries((host, message) => {
    const { request } = message as FenceRequest;
    const disks = [hosts[host]!].filter((disk) => !silent.includes(disk)).map((disk) => answerOf(disk));
    queueMicrotask(() => inquiries.replied({ type: 'reply', request, body: { disks } }));
  });
  const chain = () => ({ family: 7, layers: [{ layer: 1, limit: 0 }] });
  const fence = new Fence({ inquiries, vdi: 1, copies: COPIES, refreshMap: async () => map, chain, pgOf: () => 0 });
  return { fence, findings: await fence.findings(2, 1) };
}

test('a member that was down when the fence asked is asked when it is up again, unless it makes itself equal', async (t) => {
  const { fence } = await fenced(mapOf(5, { acting: [1, 2, 3] }, ['c']));
  t.absent(fence.hasHeardAll(mapOf(5, { acting: [1, 2, 3] }, ['c'])));
  t.absent(fence.hearsMoreBy(mapOf(6, { acting: [1, 2, 3] }, ['c'])), 'nobody to ask');
  t.ok(fence.hearsMoreBy(mapOf(6, { acting: [1, 2, 3] })));
  t.absent(fence.hearsMoreBy(mapOf(7, { acting: [1, 2, 3], joined: { 3: 6 } })), 'in a new stay');
  t.ok(fence.hasHeardAll(mapOf(7, { acting: [1, 2] }, ['c'])), 'it has left');
});

test('of a group that stands still nothing is known before its members have answered', async (t) => {
  const { fence } = await fenced(mapOf(5, { acting: [] }, ['b', 'c']));
  t.absent(fence.hasHeardAll(mapOf(5, { acting: [] }, ['b', 'c'])));
  t.ok(fence.hearsMoreBy(mapOf(6, { acting: [2] })));
  await fence.ask(mapOf(6, { acting: [2] }), 2, 1);
  t.ok(fence.hasHeardAll(mapOf(6, { acting: [2] })));
});

test('a group has been heard of when somebody has answered whose copy is complete', async (t) => {
  const unheard = async (map: ClusterMap, silent: number[] = []) => (await fenced(map, silent)).findings?.unheard;
  t.alike(await unheard(mapOf(5, { acting: [1, 2, 3] }, ['b', 'c'])), []);
  t.alike(await unheard(mapOf(5, { acting: [1, 2, 3] }, ['b', 'c']), [1]), [0], 'its disk has failed');
  t.alike(await unheard(mapOf(5, { acting: [1, 2, 3], insync: [2] }, ['b'])), [0], 'the others may lack something');
  t.alike(await unheard(mapOf(5, { acting: [] })), [0], 'it stands still');
});
