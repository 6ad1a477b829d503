/** What the administrator is told of images. */
import { type Assertions, test } from 'brittle';
import { ImageAdministration } from '../lib/daemon/image-administration.js';
import { layerOwners } from '../lib/vdi/layer-owners.js';
import type { FamilyRecord } from '../lib/vdi/records.js';
import { contents, openImages } from './helpers/images.js';

const MIB = 1024 * 1024;

async function openAdministration(t: Assertions) {
  const images = await openImages(t);
  const { vdis } = images;
  const administration = new ImageAdministration({ vdis, opens: () => 0, copies: 1, free: () => 0 });
  /** What `dog vdi list` has in the column USED, in MiB. */
  const used = async () => {
    const infos = await administration.list();
    for (const info of infos) t.is((await administration.info(info.name)).used, info.used, info.name);
    return Object.fromEntries(infos.map((info) => [info.name, info.used / MIB]));
  };
  const write = async (name: string, offset: number, bytes: number) => {
    const vdi = await vdis.load((await vdis.named(name)).id);
    await vdi.write(offset, Buffer.alloc(bytes, 1));
  };
  return { ...images, administration, used, write };
}

test('what an image shares with its clone counts once, for the image', async (t) => {
  const { create, administration, used, write } = await openAdministration(t);
  await create('golden');
  await write('golden', 0, 8 * MIB);
  t.is((await administration.clone('golden', 'vm1')).used, 0);
  t.alike(await used(), { golden: 8, vm1: 0 });
  await write('vm1', 0, 4 * MIB);
  t.alike(await used(), { golden: 8, vm1: 4 });
  await administration.clone('vm1', 'vm2');
  t.alike(await used(), { golden: 8, vm1: 4, vm2: 0 });
  await write('golden', 4 * MIB, 4 * MIB);
  t.alike(await used(), { golden: 12, vm1: 4, vm2: 0 }, 'the clones have the object as it was');
});

test('what clones share whose source is gone counts once', async (t) => {
  const { create, administration, used, write } = await openAdministration(t);
  await create('golden');
  await write('golden', 0, 8 * MIB);
  await administration.clone('golden', 'vm1');
  await administration.clone('golden', 'vm2');
  await administration.delete('golden', { force: false });
  t.alike(await used(), { vm1: 8, vm2: 0 });
});

test('a snapshot counts for its image, also what only it has', async (t) => {
  const { create, vdis, used, write } = await openAdministration(t);
  await create('vm');
  await write('vm', 0, 4 * MIB);
  await vdis.snapshot('vm', 'monday');
  t.alike(await used(), { vm: 4 });
  await write('vm', 4 * MIB, 4 * MIB);
  await vdis.snapshot('vm', 'tuesday');
  await vdis.rollBack('vm', 'monday');
  t.is((await contents(await vdis.load((await vdis.named('vm')).id), 0, 8 * MIB)).length, 4 * MIB);
  t.alike(await used(), { vm: 8 });
});

test('a clone counts for its source, though that has the higher number', (t) => {
  const family = {
    layers: { 1: { parent: null, limit: 0 }, 2: { parent: 1, limit: 8 }, 3: { parent: 1, limit: 8 } },
    images: { 17: 3, 20: 2 },
  } as unknown as FamilyRecord;
  const owners = (kinships: [number, { parent?: number; unlinked?: boolean }][]) => [
    ...layerOwners(family, new Map(kinships)),
  ];
  const sorted = (found: [number, number][]) => found.sort(([a], [b]) => a - b);
  const expected: [number, number][] = [
    [1, 20],
    [2, 20],
    [3, 17],
  ];
  t.alike(sorted(owners([[17, { parent: 20 }]])), expected);
  const inTurn: [number, { parent: number }][] = [
    [17, { parent: 20 }],
    [20, { parent: 17 }],
  ];
  t.alike(sorted(owners(inTurn)), [[1, 17], ...expected.slice(1)]);
  t.alike(sorted(owners([[17, { unlinked: true }]])), expected.slice(0, 2), 'what has no name counts for nothing');
});
