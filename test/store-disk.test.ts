import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { Disk, FORMAT_VERSION, OBJECT_BYTES, readRecord } from '../lib/store/index.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { chainOf, IDENTITY, killedCopy, newDisk, openDisk, readAt, smallFilesystem } from './helpers/disks.js';
import { until } from './helpers/until.js';

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    if (message.includes('\n') || message.length < 20) throw new Error(`not a line that helps: ${message}`);
    return code;
  }
}

test('a directory is formatted only when it is empty', async (t) => {
  const directory = await temporaryDirectory(t);
  const identity = { ...IDENTITY, disk: 3 };
  await mkdir(join(directory, 'lost+found'));
  await Disk.format(directory, identity);
  t.alike(await readRecord(directory), { format: FORMAT_VERSION, ...identity, opens: 0 });
  t.is(await codeOf(Disk.format(directory, identity)), 'NOT_EMPTY');
  t.is(await codeOf(Disk.format(join(directory, 'absent'), identity)), 'NOT_FOUND');
});

test('a directory of somebody else is refused, and left as it is', async (t) => {
  const directory = await temporaryDirectory(t);
  await Disk.format(directory, { ...IDENTITY, disk: 3 });
  const names = await readdir(directory);
  t.is(await codeOf(Disk.open(directory, { ...IDENTITY, cluster: 'other' })), 'OTHER_CLUSTER');
  t.is(await codeOf(Disk.open(directory, { ...IDENTITY, host: 'other' })), 'OTHER_HOST');
  t.is(await codeOf(Disk.open(directory, { ...IDENTITY, disk: 4 })), 'OTHER_DISK');
  t.alike(await readdir(directory), names);
  t.is(await codeOf(Disk.open(join(directory, 'absent'), IDENTITY)), 'NOT_FOUND');
  t.is(await codeOf(Disk.open(join(directory, 'objects'), IDENTITY)), 'NOT_A_DISK');
  t.alike(await readdir(join(directory, 'objects')), []);

  const record = await readFile(join(directory, 'disk.json'), 'utf8');
  await writeFile(
    join(directory, 'disk.json'),
    record.replace(`"format": ${FORMAT_VERSION}`, `"format": ${FORMAT_VERSION + 1}`),
  );
  t.is(await codeOf(Disk.open(directory, IDENTITY)), 'NEWER_FORMAT');
  await writeFile(join(directory, 'disk.json'), record.slice(0, 20));
  t.is(await codeOf(Disk.open(directory, IDENTITY)), 'NOT_A_DISK');
  await writeFile(join(directory, 'disk.json'), record.replace('"opens": 0', '"opens": "no"'));
  t.is(await codeOf(Disk.open(directory, IDENTITY)), 'NOT_A_DISK');
});

test('each open raises the counter, and only one can be at a time', async (t) => {
  const disk = await newDisk(t);
  t.is(disk.record.opens, 1);
  t.is(await codeOf(Disk.open(disk.directory, IDENTITY)), 'LOCKED');
  await disk.close();
  t.is(disk.close(), disk.close(), 'closing again is the same closing');
  const again = await openDisk(t, disk.directory);
  t.is(again.record.opens, 2);
  t.is((await readRecord(disk.directory)).opens, 2);
});

test('a read-only file system is refused', async (t) => {
  const directory = await smallFilesystem(t, 16);
  await Disk.format(directory, { ...IDENTITY, disk: 1 });
  t.is(spawnSync('mount', ['-o', 'remount,ro', directory]).status, 0);
  t.is(await codeOf(Disk.open(directory, IDENTITY)), 'READ_ONLY');
});

test('a disk whose directory is swapped is taken out', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const chain = chainOf(1, 1);
  await objects.write(chain, 0, 0, Buffer.alloc(512, 1));
  const reasons: string[] = [];
  disk.on('failed', (reason) => reasons.push(reason));
  t.is(disk.failed, null);
  await rename(disk.directory, `${disk.directory}.away`);
  t.teardown(() => rm(`${disk.directory}.away`, { recursive: true }), { force: true });
  await mkdir(disk.directory);
  await until('the disk is found to be another', () => disk.failed !== null);
  t.is(reasons.length, 1, 'told once');
  for (const operation of [
    objects.read(chain, 0, 0, Buffer.alloc(512)),
    objects.write(chain, 0, 0, Buffer.alloc(512)),
    objects.write(chain, 1, 0, Buffer.alloc(512)),
    objects.discard(chain, { index: 0, offset: 0, length: 512 }),
    objects.flush(chain),
    objects.end(chain, 1e9),
  ]) {
    t.is(await codeOf(operation), 'DISK_FAILED');
  }
});

test('what is opened anew is not of an older copy of the disk that came in its place', async (t) => {
  const first = await newDisk(t);
  const { directory } = first;
  const chain = chainOf(1, 1);
  const [older, newer] = [Buffer.alloc(512, 1), Buffer.alloc(512, 2)];
  const before = new DiskObjects([first]);
  await before.write(chain, 0, 0, older);
  await before.flush(chain);
  t.is(spawnSync('cp', ['-a', directory, `${directory}.copy`]).status, 0);
  await before.write(chain, 0, 0, newer);
  await first.close();
  const disk = await openDisk(t, directory);
  t.is([...disk.descriptors.files()].length, 0);
  await rename(directory, `${directory}.away`);
  await rename(`${directory}.copy`, directory);
  t.teardown(() => rm(`${directory}.away`, { recursive: true }), { force: true });
  const objects = new DiskObjects([disk]);
  t.alike(await readAt(objects, chain, 0, 0, 512), newer, 'before anybody has noticed');
  const [file] = [...disk.descriptors.files()];
  await objects.discard(chain, { index: 0, offset: 0, length: OBJECT_BYTES });
  await objects.flush(chain);
  await until('the disk is found to be another', () => disk.failed !== null);
  t.alike((await readFile(file!.path)).subarray(0, 512), older, 'nothing is removed from the copy');
});

test('a disk whose disk.json becomes that of another, or vanishes, is taken out', async (t) => {
  const other = await newDisk(t);
  await writeFile(join(other.directory, 'disk.json'), JSON.stringify({ ...other.record, host: 'other' }));
  const bare = await newDisk(t, {}, 2);
  await rm(join(bare.directory, 'disk.json'));
  await until('both are out', () => other.failed !== null && bare.failed !== null);
  t.ok(other.failed?.includes("another disk's"));
  t.ok(bare.failed?.includes('has no disk.json'));
});

test('a disk that grows says so', async (t) => {
  const disk = await newDisk(t, {}, 1, await smallFilesystem(t, 32));
  const totals: number[] = [];
  disk.on('resized', (total) => totals.push(total));
  t.is(spawnSync('mount', ['-o', 'remount,size=48m', disk.directory]).status, 0);
  await until('it is noticed', () => totals.length > 0);
  t.alike(totals, [48 * 1024 * 1024]);
  t.is(disk.space.report().total, 48 * 1024 * 1024);
});

test('an object whose file vanished after a flush is an error, one that was never flushed reads as zeros', async (t) => {
  const disk = await newDisk(t);
  const objects = new DiskObjects([disk]);
  const [kept, fresh] = [chainOf(1, 1), chainOf(2, 1)];
  await objects.write(kept, 0, 0, Buffer.alloc(512, 1));
  await objects.flush(kept);
  await disk.activity.retireAll(disk.layers.values());
  await objects.write(fresh, 0, 0, Buffer.alloc(512, 1));
  const paths = [...disk.descriptors.files()].map((file) => file.path);
  t.is(paths.length, 2);
  const copy = await killedCopy(t, disk);
  for (const path of paths) await rm(path.replace(disk.directory, copy));

  const again = new DiskObjects([await openDisk(t, copy)]);
  t.is(await codeOf(readAt(again, kept, 0, 0, 512)), 'EIO');
  t.is(await codeOf(again.write(kept, 0, 0, Buffer.alloc(512))), 'EIO');
  t.alike(await readAt(again, fresh, 0, 0, 512), Buffer.alloc(512));
  await again.write(fresh, 0, 0, Buffer.alloc(512, 2));
  await again.flush(fresh);
  t.alike(await readAt(again, fresh, 0, 0, 512), Buffer.alloc(512, 2));
});
