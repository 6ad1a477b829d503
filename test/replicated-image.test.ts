import { test } from 'brittle';
import { ImageRefresh } from '../lib/replication/image-refresh.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import type { ReplicatedImage } from '../lib/replication/replicated-image.js';
import { onThreeHosts } from './helpers/three-hosts.js';
import type { World } from './simulation/world.js';

const NO_HANDLE = Number.POSITIVE_INFINITY;
const INDEXES = 64;

/** Runs `body` with an image on each of three hosts that serve. */
function onImages(body: (images: readonly ReplicatedImage[], world: World) => Promise<void>): Promise<void> {
  return onThreeHosts(async (world) => body(await openAll(world), world));
}

async function openAll({ hosts }: World): Promise<ReplicatedImage[]> {
  const size = INDEXES * OBJECT_BYTES;
  const { id } = await hosts[0]!.run!.vdis.create('image', { size, mode: 0o600, uid: 0, gid: 0, copies: 2 });
  const vdis = await Promise.all(hosts.map(({ run }) => run!.vdis.load(id)));
  return vdis.map(({ objects }) => objects as ReplicatedImage);
}

test('next, end and seek find on every host what is anywhere', async (t) => {
  await onImages(async (images) => {
    const [first] = images as [ReplicatedImage, ...ReplicatedImage[]];
    for (const index of [3, 4, 40]) await first.write(index, 8192, Buffer.alloc(4096, index), NO_HANDLE);
    for (const image of images) {
      t.is(await image.next(0, INDEXES), 3);
      t.is(await image.next(4, INDEXES), 4);
      t.is(await image.next(5, INDEXES), 40);
      t.is(await image.next(5, 40), null);
      t.is(await image.next(0, INDEXES, [2]), null, 'no other layer has anything');
      t.is(await image.end(INDEXES * OBJECT_BYTES), 40 * OBJECT_BYTES + 12288);
      t.is(await image.end(40 * OBJECT_BYTES), 4 * OBJECT_BYTES + 12288);
      t.is(await image.end(40 * OBJECT_BYTES + 9000), 40 * OBJECT_BYTES + 9000);
      t.is(await image.seek(3, 0, false, NO_HANDLE), 0);
      t.is(await image.seek(3, 0, true, NO_HANDLE), 8192);
      t.is(await image.seek(5, 0, true, NO_HANDLE), null);
      t.is(await image.seek(5, 7, false, NO_HANDLE), 7);
    }
  });
});

test('what is cut off is gone on every host', async (t) => {
  await onImages(async (images) => {
    const [first, second] = images as [ReplicatedImage, ReplicatedImage];
    for (let index = 0; index < INDEXES; index++) await first.write(index, 0, Buffer.alloc(8192, 1), NO_HANDLE);
    await second.truncate(10 * OBJECT_BYTES + 4096);
    for (const image of images) {
      t.is(await image.next(11, INDEXES), null);
      t.is(await image.end(INDEXES * OBJECT_BYTES), 10 * OBJECT_BYTES + 4096);
      const target = Buffer.alloc(8192);
      await image.read(10, 0, target, NO_HANDLE);
      t.alike(target, Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(4096)]));
    }
    await second.truncate(0);
    for (const image of images) t.is(await image.next(0, INDEXES), null);
  });
});

test('a look is answered by another copy when one is gone', async (t) => {
  await onImages(async (images, world) => {
    const [first, second] = images as [ReplicatedImage, ReplicatedImage];
    for (let index = 0; index < INDEXES; index++) await first.write(index, 0, Buffer.alloc(4096, 1), NO_HANDLE);
    world.hosts[2]!.kill();
    for (let index = 0; index < INDEXES; index++) t.is(await second.next(index, INDEXES), index);
    t.is(await second.end(INDEXES * OBJECT_BYTES), (INDEXES - 1) * OBJECT_BYTES + 4096);
  });
});

test('a host that wrote under an older generation reads the image anew', async (t) => {
  await onImages(async (images) => {
    const [first, second] = images as [ReplicatedImage, ReplicatedImage];
    await first.write(0, 0, Buffer.alloc(4096, 1), NO_HANDLE);
    await second.write(0, 0, Buffer.alloc(4096, 2), NO_HANDLE);
    const target = Buffer.alloc(4096);
    await first.read(0, 0, target, NO_HANDLE);
    t.alike(target, Buffer.alloc(4096, 2));
    t.is(await first.next(0, INDEXES), 0);
  });
});

test('whoever needs an image read anew shares only what began later', async (t) => {
  const begun: (() => void)[] = [];
  const refresh = new ImageRefresh(() => new Promise((resolve) => begun.push(resolve)));
  const done: string[] = [];
  const asked = ['a', 'b', 'c'].map((name) => refresh.run().then(() => done.push(name)));
  t.is(begun.length, 1);
  begun[0]!();
  await asked[0];
  t.alike(done, ['a']);
  await new Promise((resolve) => setImmediate(resolve));
  t.is(begun.length, 2, 'two that came while one was under way share the next');
  begun[1]!();
  await Promise.all(asked);
  t.alike(done, ['a', 'b', 'c']);
});

test('an image that cannot be read is asked for again by the next who needs it', async (t) => {
  let tries = 0;
  const refresh = new ImageRefresh(async () => {
    if (++tries === 1) throw new Error('the store does not answer');
  });
  const first = refresh.run();
  const second = refresh.run();
  await t.exception(() => first, /does not answer/);
  await second;
  t.is(tries, 2);
});
