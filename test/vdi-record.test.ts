/** What is stored of an image, what runs ahead of it, and what comes between. */
import { type Assertions, test } from 'brittle';
import type { Chain } from '../lib/replication/object-io.js';
import { compareTimes } from '../lib/vdi/records.js';
import { contents, openImages } from './helpers/images.js';
import { MemoryObjects } from './helpers/memory-objects.js';

const MIB = 1024 * 1024;
const OWNER = { mode: 0o644, uid: 0, gid: 0, copies: 1 };

/** Objects that cannot be cut while `broken` is set. */
class Uncut extends MemoryObjects {
  broken = false;

  override async truncate(...args: Parameters<MemoryObjects['truncate']>): Promise<void> {
    if (this.broken) throw Object.assign(new Error('the disk is gone'), { code: 'EIO' });
    return super.truncate(...args);
  }
}

/** Objects that cannot be looked through while `broken` is set. */
class Unseen extends MemoryObjects {
  broken = false;

  override async next(...args: Parameters<MemoryObjects['next']>): Promise<number | null> {
    if (this.broken) throw Object.assign(new Error('the disk is gone'), { code: 'EIO' });
    return super.next(...args);
  }
}

/** Objects of which one family cannot be flushed. */
class Unflushed extends MemoryObjects {
  broken = 0;

  override async flush(chain?: Chain): Promise<void> {
    if (chain?.family === this.broken) throw Object.assign(new Error('the disk is gone'), { code: 'EIO' });
    return super.flush();
  }
}

function isLater(t: Assertions, one: Parameters<typeof compareTimes>, message: string): void {
  t.ok(compareTimes(...one) > 0, message);
}

test('a write moves mtime and ctime, before they are stored and after', async (t) => {
  const { vdis, create } = await openImages(t);
  const vdi = await create('a');
  const { ctime } = vdi.record;
  await vdi.write(0, Buffer.alloc(10, 1));
  const { record } = vdi;
  isLater(t, [record.ctime, ctime], 'ctime');
  t.alike(record.ctime, record.mtime);
  await vdi.settle();
  t.alike((await vdis.catalog.vdi(vdi.id))?.record.ctime, record.ctime, 'stored');
});

test('a clone leaves the times of its source as they are', async (t) => {
  const { vdis, create } = await openImages(t);
  const vdi = await create('a', 8 * MIB);
  await vdi.write(0, Buffer.alloc(MIB, 1));
  await vdi.settle();
  await vdi.write(0, Buffer.alloc(MIB, 2));
  const { mtime } = vdi.record;
  await vdis.clone('a', 'b');
  t.alike(vdi.record.mtime, mtime);
});

test('a write that a chmod meets keeps its time', async (t) => {
  const { create } = await openImages(t);
  const vdi = await create('a', MIB);
  const changing = vdi.setAttributes((record) => ({ ...record, mode: 0o600 }));
  // The change is on its way to the disk by then.
  await new Promise(setImmediate);
  await vdi.write(0, Buffer.alloc(10, 1));
  const { mtime } = vdi.record;
  await changing;
  t.alike(vdi.record.mtime, mtime);
});

test('what is written beyond a cut is there after a crash', async (t) => {
  const { vdis, create, make } = await openImages(t);
  const vdi = await create('a');
  await vdi.write(0, Buffer.alloc(8 * MIB, 1));
  await vdi.resize(MIB);
  t.ok((await vdis.catalog.vdi(vdi.id))?.record.cutting, 'the mark stays for a while');
  await vdi.write(6 * MIB, Buffer.alloc(MIB, 2));
  const again = await make().load(vdi.id);
  t.is(again.size, 7 * MIB);
  t.ok((await contents(again, 6 * MIB, MIB)).equals(Buffer.alloc(MIB, 2)));
  t.ok((await contents(again, MIB, 5 * MIB)).equals(Buffer.alloc(5 * MIB)), 'zeros between');
});

test('a cut that failed is made before anything is written beyond it', async (t) => {
  const objects = new Uncut();
  const { create, make } = await openImages(t, objects);
  const vdi = await create('a');
  await vdi.write(0, Buffer.alloc(8 * MIB, 1));
  objects.broken = true;
  await t.exception(vdi.resize(MIB), /the disk is gone/);
  await t.exception(vdi.write(6 * MIB, Buffer.alloc(MIB, 2)), /the disk is gone/);
  objects.broken = false;
  await vdi.write(6 * MIB, Buffer.alloc(MIB, 2));
  const again = await make().load(vdi.id);
  t.ok((await contents(again, 6 * MIB, MIB)).equals(Buffer.alloc(MIB, 2)), 'it is not cut away later');
  t.ok((await contents(again, MIB, 5 * MIB)).equals(Buffer.alloc(5 * MIB)), 'and what was cut is zeros');
});

test('growing never makes an image shorter', async (t) => {
  const { create } = await openImages(t);
  const vdi = await create('a');
  // Each waits for the other: the shorter one comes second.
  await Promise.all([vdi.grow(8 * MIB), vdi.grow(2 * MIB)]);
  t.is(vdi.size, 8 * MIB);
});

test('a hundred images are made at once', async (t) => {
  const { vdis } = await openImages(t);
  const names = Array.from({ length: 100 }, (_, index) => `image-${index}`);
  const records = await Promise.all(names.map((name) => vdis.create(name, { size: 0, ...OWNER })));
  t.is(new Set(records.map(({ id }) => id)).size, names.length, 'each with a number of its own');
  t.is(new Set(records.map(({ family }) => family)).size, names.length, 'and a family');
  t.is(await vdis.count(), names.length);
});

test('a listing goes on where it ended, whatever is removed between', async (t) => {
  const { vdis, create } = await openImages(t);
  for (let index = 0; index < 20; index++) await create(`image-${index}`);
  const seen: string[] = [];
  for (let after = 0; ; ) {
    const page = await vdis.list(after, 3);
    if (page.length === 0) break;
    for (const { name } of page) {
      seen.push(name);
      await vdis.unlink(name);
    }
    after = page.at(-1)!.id;
  }
  t.is(seen.length, 20);
  t.is(await vdis.count(), 0);
});

test('an image that is being imported keeps its name', async (t) => {
  const { vdis, create } = await openImages(t);
  await vdis.create('import', { size: 0, ...OWNER, importing: true });
  await create('other');
  await t.exception(vdis.named('import'), /there is no import/);
  await t.exception(vdis.rename('other', 'import', 0), /being imported/);
  t.is((await vdis.named('other')).name, 'other');
  t.alike(
    (await vdis.list()).map(({ name }) => name),
    ['other'],
  );
});

test('changes of names without a request number are all carried out', async (t) => {
  const { vdis } = await openImages(t);
  const request = { unique: 0n, resent: false };
  for (let round = 0; round < 3; round++) {
    await vdis.create('a', { size: 0, ...OWNER }, request);
    vdis.catalog.answered(request);
    await vdis.unlink('a', request);
    vdis.catalog.answered(request);
  }
  await t.exception(vdis.named('a'), /there is no a/);
});

test('a clone that fails leaves no image behind', async (t) => {
  const objects = new Unseen();
  const { vdis, create } = await openImages(t, objects);
  await (await create('a')).write(0, Buffer.alloc(MIB, 1));
  objects.broken = true;
  await t.exception(vdis.clone('a', 'b'), /the disk is gone/);
  objects.broken = false;
  await t.exception(vdis.named('b'), /there is no b/);
  await vdis.clone('a', 'b');
  t.is((await vdis.named('b')).size, MIB, 'and the name is free');
});

test('every image is settled at the end, also when one cannot be', async (t) => {
  const objects = new Unflushed();
  const { vdis, create, make } = await openImages(t, objects);
  const [bad, good] = [await create('bad'), await create('good')];
  await bad.write(0, Buffer.alloc(MIB, 1));
  await good.write(0, Buffer.alloc(MIB, 1));
  objects.broken = bad.chain().family;
  await t.exception(vdis.close(), /the disk is gone/);
  objects.broken = 0;
  t.is((await make().catalog.vdi(good.id))?.record.size, MIB);
});
