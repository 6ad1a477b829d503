import { test } from 'brittle';
import { SEEK_DATA, SEEK_HOLE } from '../lib/fuse/operations.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { finishMerge, newFamily, planCleaning, pushLayer, removeImage } from '../lib/vdi/family.js';
import { RangeLock } from '../lib/vdi/range-lock.js';
import { contents, openImages } from './helpers/images.js';

const MIB = 1024 * 1024;

test('a write across objects is read back; what lies beyond the end is not', async (t) => {
  const { create } = await openImages(t);
  const vdi = await create('a');
  const data = Buffer.alloc(3 * MIB, 7);
  await vdi.write(3 * MIB + 5, data);
  t.is(vdi.size, 6 * MIB + 5);
  t.ok((await contents(vdi, 3 * MIB + 5, 4 * MIB)).equals(data), 'a read is cut at the end');
  t.is(
    (await contents(vdi, 0, 3 * MIB + 5)).every((byte) => byte === 0),
    true,
    'what was never written is zero',
  );
  t.is((await contents(vdi, 7 * MIB, 10)).length, 0);
});

test('the size survives a process that never stored it', async (t) => {
  const { vdis, create, make } = await openImages(t);
  const vdi = await create('a');
  await vdi.write(0, Buffer.alloc(5 * MIB + 3, 1));
  const other = make();
  t.is((await vdis.catalog.vdi(vdi.id))?.record.size, 0, 'the stored size lags');
  t.is((await other.record(vdi.id)).size, 5 * MIB + 3, 'and is found from the highest object');
  t.is((await vdis.catalog.vdi(vdi.id))?.record.size, 5 * MIB + 3, 'which is then stored');
});

test('a discard of the end keeps the size', async (t) => {
  const { create, make } = await openImages(t);
  const vdi = await create('a');
  await vdi.write(0, Buffer.alloc(8 * MIB, 1));
  await vdi.discard(4 * MIB, 4 * MIB);
  t.is((await make().record(vdi.id)).size, 8 * MIB);
});

test('shrinking and growing again reads zeros, from layers below too', async (t) => {
  const { vdis, create } = await openImages(t);
  const source = await create('a');
  await source.write(0, Buffer.alloc(12 * MIB, 5));
  await vdis.clone('a', 'b');
  const clone = await vdis.load((await vdis.named('b')).id);
  await clone.resize(5 * MIB);
  await clone.resize(12 * MIB);
  const expected = Buffer.concat([Buffer.alloc(5 * MIB, 5), Buffer.alloc(7 * MIB)]);
  t.ok((await contents(clone, 0, 12 * MIB)).equals(expected));
  t.ok((await contents(source, 0, 12 * MIB)).equals(Buffer.alloc(12 * MIB, 5)), 'the source is as it was');
});

test('of two cuts in a row each is made', async (t) => {
  const { create } = await openImages(t);
  const vdi = await create('a');
  await vdi.write(0, Buffer.alloc(12 * MIB, 1));
  await vdi.resize(9 * MIB);
  await vdi.resize(5 * MIB);
  await vdi.resize(12 * MIB);
  const expected = Buffer.concat([Buffer.alloc(5 * MIB, 1), Buffer.alloc(7 * MIB)]);
  t.ok((await contents(vdi, 0, 12 * MIB)).equals(expected));
});

test('a cut that a dead process had begun is finished by the next', async (t) => {
  const { vdis, create, make, objects } = await openImages(t);
  const vdi = await create('a');
  await vdi.write(0, Buffer.alloc(8 * MIB, 1));
  await vdi.settle();
  await vdis.catalog.update(vdi.id, (record) => ({ ...record, size: MIB, bound: MIB, cutting: true }));
  const again = await make().load(vdi.id);
  t.is(again.size, MIB);
  t.is(await objects.end(again.chain(), 8 * MIB), MIB, 'what lay beyond is gone');
  await again.settle();
  t.absent((await vdis.catalog.vdi(vdi.id))?.record.cutting);
});

test('changes that overlap wait for one another, others do not', async (t) => {
  const lock = new RangeLock();
  const first = lock.tryTake(0, 10)!;
  t.ok(first);
  const other = lock.tryTake(10, 20)!;
  t.ok(other, 'ranges that only touch do not overlap');
  t.is(lock.tryTake(5, 6), null);
  const order: string[] = [];
  const second = lock.wait(5, 15).then((range) => {
    order.push('second');
    return range;
  });
  const frozen = lock.freeze().then(() => order.push('frozen'));
  lock.release(first);
  lock.release(other);
  await frozen;
  t.alike(order, ['frozen'], 'a freeze holds back what waits');
  lock.thaw();
  lock.release(await second);
  t.ok(lock.tryTake(0, 100));
});

test('a clone shows its source and is independent of it', async (t) => {
  const { vdis, create, objects } = await openImages(t);
  const source = await create('a');
  await source.write(MIB, Buffer.alloc(6 * MIB, 1));
  const before = objects.entries.size;
  await vdis.clone('a', 'b');
  t.is(objects.entries.size, before, 'no object was copied');
  const clone = await vdis.load((await vdis.named('b')).id);
  await source.write(2 * MIB, Buffer.alloc(MIB, 2));
  await clone.write(3 * MIB, Buffer.alloc(MIB, 3));
  const one = (from: number) => contents(source, from * MIB, MIB).then((bytes) => bytes[0]);
  const two = (from: number) => contents(clone, from * MIB, MIB).then((bytes) => bytes[0]);
  t.alike([await one(1), await one(2), await one(3)], [1, 2, 1]);
  t.alike([await two(1), await two(2), await two(3)], [1, 1, 3]);
});

test('cloning an untouched image again and again adds no layers to it', async (t) => {
  const { vdis, create } = await openImages(t);
  const golden = await create('golden');
  await golden.write(0, Buffer.alloc(5 * MIB, 1));
  for (let i = 0; i < 20; i++) await vdis.clone('golden', `vm${i}`);
  t.is(golden.chain().layers.length, 2);
  const vm = await vdis.load((await vdis.named('vm19')).id);
  t.is(vm.chain().layers.length, 2);
});

test('extents that are copied one after another go on with the clone', async (t) => {
  const { vdis, create, objects } = await openImages(t);
  const source = await create('a', 64 * MIB);
  await source.write(0, Buffer.alloc(MIB, 1));
  await source.write(20 * MIB, Buffer.alloc(9 * MIB, 2));
  await source.write(50 * MIB, Buffer.alloc(MIB, 3));
  const target = await create('b');
  const before = objects.entries.size;
  // As cp does it: from one extent of data to the next.
  let extents = 0;
  for (let start = await source.seek(0, SEEK_DATA); start !== null; extents++) {
    const end = (await source.seek(start, SEEK_HOLE))!;
    t.ok(await vdis.share(source, target, start, end));
    t.is(target.size, end, 'nothing shows beyond what was copied');
    start = await source.seek(end, SEEK_DATA);
  }
  t.is(extents, 3);
  await target.resize(64 * MIB);
  t.is(objects.entries.size, before);
  t.ok((await contents(target, 0, 64 * MIB)).equals(await contents(source, 0, 64 * MIB)));
});

test('a range is copied, not shared, where sharing would tell something else', async (t) => {
  const { vdis, create } = await openImages(t);
  const source = await create('a');
  await source.write(0, Buffer.alloc(32 * MIB, 1));
  const target = await create('b');
  t.ok(await vdis.share(source, target, 0, 8 * MIB));
  t.absent(await vdis.share(source, target, 16 * MIB, 20 * MIB), 'the source has data in the gap');
  await source.write(9 * MIB, Buffer.alloc(512, 9));
  t.absent(await vdis.share(source, target, 8 * MIB, 12 * MIB), 'the source was written since');
  t.ok(await vdis.share(source, target, 4 * MIB, 8 * MIB), 'an untouched part may be copied again');
  await target.write(5 * MIB, Buffer.alloc(512, 9));
  t.absent(await vdis.share(source, target, 4 * MIB, 8 * MIB), 'the target was written since');
  const full = await create('c');
  await full.write(0, Buffer.alloc(512, 1));
  t.absent(await vdis.share(source, full, 0, 8 * MIB), 'the target is not empty');
  t.absent(await vdis.share(source, source, 0, 8 * MIB), 'an image onto itself');
});

test('what only a removed image had is deleted, and a layer with one child is merged into it', async (t) => {
  const { vdis, create, objects, failures } = await openImages(t);
  const source = await create('a');
  await source.write(0, Buffer.alloc(12 * MIB, 1));
  await vdis.clone('a', 'b');
  const clone = await vdis.load((await vdis.named('b')).id);
  await source.write(0, Buffer.alloc(MIB, 2));
  await clone.write(5 * MIB, Buffer.alloc(MIB, 3));
  await vdis.unlink('b');
  await vdis.idle();
  t.alike(failures, []);
  t.is(source.chain().layers.length, 1, 'the shared layer became part of the source');
  t.is(objects.entries.size, 3);
  const expected = Buffer.concat([Buffer.alloc(MIB, 2), Buffer.alloc(11 * MIB, 1)]);
  t.ok((await contents(source, 0, 12 * MIB)).equals(expected));
  await vdis.unlink('a');
  await vdis.idle();
  t.is(objects.entries.size, 0, 'and nothing is left');
  t.alike(await vdis.catalog.families(), []);
});

test('an image that is open keeps its data until it is closed', async (t) => {
  const { vdis, create, open, objects } = await openImages(t);
  const vdi = await create('a');
  await vdi.write(0, Buffer.alloc(MIB, 1));
  open.add(vdi.id);
  await vdis.unlink('a');
  await vdis.idle();
  t.is((await contents(vdi, 0, MIB)).length, MIB);
  t.is(vdi.record.unlinked, true);
  open.delete(vdi.id);
  await vdis.removeIfUnused(vdi.id);
  await vdis.idle();
  t.is(objects.entries.size, 0);
});

test('a change of names that comes twice is done once', async (t) => {
  const { vdis } = await openImages(t);
  const options = { size: 0, mode: 0o600, uid: 0, gid: 0, copies: 1 };
  const first = await vdis.create('a', options, { unique: 10n, resent: false });
  const again = await vdis.create('a', options, { unique: 10n, resent: true });
  t.is(again.id, first.id, 'a create that finds its own file is a success');
  await vdis.rename('a', 'b', 0, { unique: 12n, resent: false });
  await vdis.create('a', options, { unique: 14n, resent: false });
  await vdis.rename('a', 'b', 0, { unique: 12n, resent: true });
  t.is((await vdis.named('b')).id, first.id, 'the new file of the old name is left alone');
  await vdis.unlink('b', { unique: 16n, resent: false });
  await vdis.create('b', options, { unique: 18n, resent: false });
  await vdis.unlink('b', { unique: 16n, resent: true });
  t.ok(await vdis.named('b'));
  await t.exception(vdis.create('b', options, { unique: 20n, resent: false }), /exists already/);
});

test('SEEK_DATA and SEEK_HOLE walk over objects', async (t) => {
  const { create } = await openImages(t);
  const vdi = await create('a', 64 * MIB);
  t.is(await vdi.seek(0, SEEK_DATA), null);
  t.is(await vdi.seek(5, SEEK_HOLE), 5);
  await vdi.write(20 * MIB, Buffer.alloc(5 * MIB, 1));
  t.is(await vdi.seek(0, SEEK_DATA), 20 * MIB);
  t.is(await vdi.seek(21 * MIB, SEEK_DATA), 21 * MIB);
  t.is(await vdi.seek(20 * MIB, SEEK_HOLE), 25 * MIB);
  t.is(await vdi.seek(25 * MIB, SEEK_DATA), null);
  t.is(await vdi.seek(64 * MIB, SEEK_HOLE), null);
});

test('families: merging keeps the lower of two limits, and leaves what is shared alone', (t) => {
  let family = newFamily(1, 1, 16);
  family = pushLayer(family, 16, 1, 8 * MIB);
  family = pushLayer(family, 17, 1, 4 * MIB);
  t.alike(planCleaning(family).merging, [], 'a layer with two children stays');
  family = removeImage(family, 17);
  t.alike(family.doomed, [3]);
  t.alike(family.merging, [{ layer: 1, child: 2 }]);
  family = finishMerge(family, 1, 2);
  t.alike(family.layers[2], { parent: null, limit: 0 });
  t.is(OBJECT_BYTES, 4 * MIB);
});
