import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { HostStateFile } from '../lib/daemon/host-state.js';
import { temporaryDirectory } from './helpers/cleanup.js';

test('a host remembers its incarnation and the epoch that it adopted', async (t) => {
  const directory = await temporaryDirectory(t);
  const state = HostStateFile.open(directory);
  t.alike([state.incarnation, state.adoptedEpoch], [0, 0]);
  await state.storeIncarnation(1);
  await state.storeAdoptedEpoch(17);
  await state.storeIncarnation(2);
  await state.storeFailedDisk(3);
  await state.storeOpens(3, 7);
  await state.storeOpens(4, 1);
  state.close();
  const again = HostStateFile.open(directory);
  t.alike([again.incarnation, again.adoptedEpoch], [2, 17]);
  t.alike(again.failedDisks, [3]);
  await again.forgetFailedDisks();
  t.alike(again.failedDisks, []);
  t.alike([again.opensOf(3), again.opensOf(4), again.opensOf(5)], [7, 1, 0]);
  await again.forgetDisk(3);
  t.is(again.opensOf(3), 0);
  again.close();
});

test('a write that was torn leaves what was there before', async (t) => {
  const directory = await temporaryDirectory(t);
  const state = HostStateFile.open(directory);
  for (let incarnation = 1; incarnation <= 4; incarnation++) await state.storeIncarnation(incarnation);
  state.close();
  for (const slot of [0, 1]) {
    const file = await open(join(directory, 'host'), 'r+');
    const before = Buffer.alloc(8192);
    await file.read(before, 0, 8192, 0);
    await file.write(Buffer.from('{"ver\0\0'), 0, 7, slot * 4096);
    const torn = HostStateFile.open(directory);
    t.ok(torn.incarnation === 3 || torn.incarnation === 4, `${torn.incarnation}`);
    torn.close();
    await file.write(before, 0, 8192, 0);
    await file.close();
  }
});

test('a file of which nothing is left is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'host'), Buffer.alloc(8192));
  await t.exception(() => HostStateFile.open(directory), /damaged; restore it/);
});
