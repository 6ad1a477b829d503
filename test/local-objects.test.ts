import { test } from 'brittle';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { chainOf, newDisk, openDisk, openObjects, readAt } from './helpers/disks.js';

test('what was written is read, also after closing and opening', async (t) => {
  const disk = await newDisk(t);
  const objects = await openObjects([disk]);
  const chain = chainOf(1, 1);
  const data = Buffer.alloc(8192, 7);
  await objects.write(chain, 5, 4096, data);
  t.alike(await readAt(objects, chain, 5, 4096, 8192), data);
  t.alike(await readAt(objects, chain, 5, 0, 4096), Buffer.alloc(4096), 'zeros before it');
  t.alike(await readAt(objects, chain, 5, 8192, 8192), Buffer.concat([Buffer.alloc(4096, 7), Buffer.alloc(4096)]));
  t.alike(await readAt(objects, chain, 6, 0, 512), Buffer.alloc(512), 'zeros where nothing is');
  t.is(objects.usage(1, 1), 1);
  t.is(await objects.end(chain, 100 * OBJECT_BYTES), 5 * OBJECT_BYTES + 12288);
  await objects.flush(chain);
  await disk.close();

  const again = await openObjects([await openDisk(t, disk.directory)]);
  t.alike(await readAt(again, chain, 5, 4096, 8192), data);
  t.is(again.usage(1, 1), 1);
});
