/** A host alone moves what images have between its disks, while guests go on. */
import { rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { familyOffset, groupAt, PGS_DEFAULT } from '../lib/cluster/placement.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import type { Disk } from '../lib/store/index.js';
import { writeObject } from '../lib/store/object-write.js';
import type { Vdi } from '../lib/vdi/vdi.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { newDisk, openDisk, smallFilesystem } from './helpers/disks.js';
import { contents } from './helpers/images.js';
import { LoneHost } from './helpers/lone-host.js';
import { until } from './helpers/until.js';

const TEST = { timeout: 120_000 };
const REPLICATED = { replicated: true };
const MIB = 1024 * 1024;
const INDEXES = 40;
const BYTES = 64 * 1024;
/** Of indexes where the clone has something of its own, a hole, all blocks. */
const [WRITTEN, HOLE, WHOLE] = [3, 5, 7] as const;

async function startHost(t: Assertions, disks: readonly Disk[], directory?: string): Promise<LoneHost> {
  const host = await LoneHost.start(directory ?? (await temporaryDirectory(t)), disks);
  // Before its disks are closed.
  t.teardown(() => host.close(), { order: 5, force: true });
  return host;
}

const newReplicated = (t: Assertions, number: number, path?: string) => newDisk(t, REPLICATED, number, path);

/** An image with a byte of its own at each index, and a clone of it. */
async function makeImages(host: LoneHost): Promise<{ image: Vdi; clone: Vdi }> {
  const image = await host.create('image', INDEXES * OBJECT_BYTES);
  for (let index = 0; index < INDEXES; index++) {
    await image.write(index * OBJECT_BYTES + BYTES, Buffer.alloc(BYTES, index + 1));
  }
  const { id } = await host.vdis.clone('image', 'clone');
  const clone = await host.vdis.load(id);
  await clone.write(WRITTEN * OBJECT_BYTES, Buffer.alloc(BYTES, 200));
  await clone.discard(HOLE * OBJECT_BYTES, OBJECT_BYTES);
  await clone.allocate(WHOLE * OBJECT_BYTES, OBJECT_BYTES, true);
  return { image, clone };
}

/** Whether the images show what `makeImages` has made. */
async function areWhole({ image, clone }: { image: Vdi; clone: Vdi }): Promise<boolean> {
  for (let index = 0; index < INDEXES; index++) {
    const expected = Buffer.alloc(2 * BYTES).fill(index + 1, BYTES);
    const cloned = Buffer.from(expected);
    if (index === WRITTEN) cloned.fill(200, 0, BYTES);
    if (index === HOLE) cloned.fill(0);
    if (!(await contents(image, index * OBJECT_BYTES, 2 * BYTES)).equals(expected)) return false;
    if (!(await contents(clone, index * OBJECT_BYTES, 2 * BYTES)).equals(cloned)) return false;
  }
  return true;
}

function groupOf(host: LoneHost, { family }: { family: number }, index: number) {
  return host.groups()[groupAt(familyOffset(family, PGS_DEFAULT), index, PGS_DEFAULT)]!;
}

/** Whether each index is on the disk of its group, and on no other one. */
function isInPlace(host: LoneHost, image: Vdi, disks: readonly Disk[]): boolean {
  const { family } = image.chain();
  return Array.from({ length: INDEXES }, (_, index) => index).every((index) => {
    const { insync } = groupOf(host, { family }, index);
    return disks.every((disk) => disk.index.has(family, index) === insync.includes(disk.number));
  });
}

test('disks come and go: each has what its groups have, all layers, and nothing else', TEST, async (t) => {
  const first = await newReplicated(t, 1);
  const host = await startHost(t, [first]);
  const images = await makeImages(host);
  const usage = await host.vdis.usage(images.clone.record);
  const { objects } = first.index;

  const second = await newReplicated(t, 2);
  await host.add(second);
  await host.settled();
  t.ok(await areWhole(images));
  await until('what has moved to be deleted', () => isInPlace(host, images.image, [first, second]));
  t.ok(second.index.objects > objects / 4 && second.index.objects < (objects * 3) / 4, `${second.index.objects}`);
  t.is(first.index.objects + second.index.objects, objects);
  t.alike(await host.vdis.usage(images.clone.record), usage, 'what has all its blocks has them still');
  t.is(second.index.unsyncedObjects().length, 0, 'all of it is on disk');

  await host.empty(first);
  await host.remove(first);
  t.ok(await areWhole(images));
  t.is(second.index.objects, objects);
  await images.image.write(0, Buffer.alloc(512, 9));
  await images.image.flush(true);
  t.alike(await contents(images.image, 0, 512), Buffer.alloc(512, 9));
  t.alike(host.failures, []);
});

test('guests go on while groups move', TEST, async (t) => {
  const first = await newReplicated(t, 1);
  const host = await startHost(t, [first]);
  const image = await host.create('image', INDEXES * OBJECT_BYTES);
  for (let index = 0; index < INDEXES; index++) await image.write(index * OBJECT_BYTES, Buffer.alloc(MIB, 1));
  await host.add(await newReplicated(t, 2));
  let isMoving = true;
  const moved = host.settled().finally(() => {
    isMoving = false;
  });
  let [value, wrong, passes] = [1, 0, 0];
  for (; isMoving; passes++) {
    value = (value % 255) + 1;
    const data = Buffer.alloc(512, value);
    for (let index = 0; index < INDEXES; index += 4) await image.write(index * OBJECT_BYTES + 512, data);
    for (let index = 0; index < INDEXES; index += 4) {
      if (!(await contents(image, index * OBJECT_BYTES + 512, 512)).equals(data)) wrong++;
    }
    await image.flush(true);
  }
  await moved;
  t.ok(passes > 1, `${passes} passes`);
  t.is(wrong, 0);
  for (let index = 0; index < INDEXES; index++) {
    const expected = Buffer.alloc(MIB, 1);
    if (index % 4 === 0) expected.fill(value, 512, 1024);
    if (!(await contents(image, index * OBJECT_BYTES, MIB)).equals(expected)) t.fail(`index ${index} differs`);
  }
});

test('a move that was broken off goes on with the next worker', TEST, async (t) => {
  const [first, second] = [await newReplicated(t, 1), await newReplicated(t, 2)];
  const directory = await temporaryDirectory(t);
  const host = await startHost(t, [first], directory);
  await makeImages(host);
  await host.add(second);
  await until('some to have moved', () => second.index.objects > 0);
  await host.close();
  t.ok(host.cluster.toMove > 0);
  for (const disk of [first, second]) await disk.close();

  const disks = [await openDisk(t, first.directory, REPLICATED), await openDisk(t, second.directory, REPLICATED)];
  const again = await startHost(t, disks, directory);
  const named = async (name: string) => again.vdis.load((await again.vdis.named(name)).id);
  const images = { image: await named('image'), clone: await named('clone') };
  t.ok(await areWhole(images));
  await again.settled();
  t.ok(await areWhole(images));
  await until('what has moved to be deleted', () => isInPlace(again, images.image, disks));
});

test('a disk without room takes no more than it can, and everything goes on being served', TEST, async (t) => {
  const first = await newReplicated(t, 1, await smallFilesystem(t, 256));
  const second = await newReplicated(t, 2, await smallFilesystem(t, 256));
  const host = await startHost(t, [first]);
  const image = await host.create('image', INDEXES * OBJECT_BYTES);
  const data = Buffer.alloc(OBJECT_BYTES, 1);
  for (let index = 0; index < INDEXES; index++) await image.write(index * OBJECT_BYTES, data);
  await image.flush(true);
  // For seven objects, with a reserve of two.
  const { bavail, bsize } = await statfs(second.directory);
  const stranger = join(second.directory, 'stranger');
  await writeFile(stranger, Buffer.alloc(bavail * bsize - 32 * MIB));
  await second.space.refresh();
  await host.add(second);
  const areServed = async () => {
    for (let index = 0; index < INDEXES; index++) {
      if (!(await contents(image, index * OBJECT_BYTES, OBJECT_BYTES)).equals(data)) return false;
    }
    return true;
  };
  await until('it to be full', () => second.space.state === 'full', 60_000);
  await until('the map to come to rest', () => isAtRest(host), 60_000);
  t.is(second.failed, null);
  t.ok(second.index.objects < 8, `${second.index.objects} were moved`);
  t.ok(await areServed());

  await rm(stranger);
  await second.space.refresh();
  await host.settled();
  t.ok(await areServed());
  await host.vdis.unlink('image');
  await until('nothing to be left', () => first.index.objects + second.index.objects === 0, 60_000);
  t.alike(host.failures, []);
});

/** Whether no map follows for a while. */
async function isAtRest(host: LoneHost): Promise<boolean> {
  const { epoch } = host.cluster.map;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return host.cluster.map.epoch === epoch;
}

test('what is done to layers on a disk that is taken away has ended before that is closed', TEST, async (t) => {
  const [first, second] = [await newReplicated(t, 1), await newReplicated(t, 2)];
  const host = await startHost(t, [first, second]);
  // Of copies that no group of the map has, so that nobody else deletes it.
  const family = 8 + 7;
  const place = (index: number) => ({ pg: index, family, index });
  for (let index = 0; index < 100; index++) {
    await writeObject(second, place(index), [{ layer: 1, limit: 0 }], 0, Buffer.alloc(512, 1), 1);
  }
  await host.empty(second);
  const work = host.cluster.replica.layerDisks.find(({ number }) => number === 2)!;
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { commit } = second.index;
  second.index.commit = async (change) => {
    await gate;
    return commit.call(second.index, change);
  };
  const deletion = work.deleteLayer(family, 1);
  let isRemoved = false;
  const removal = host.remove(second).then(() => {
    isRemoved = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.absent(isRemoved);
  open();
  await Promise.all([deletion, removal]);
  await work.deleteLayer(family, 1);
  t.alike(
    host.cluster.replica.layerDisks.map(({ number }) => number),
    [1],
  );
});
