/** A disk that fills up: refused writes, nothing lost, and on again when there is space. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { temporaryDirectory, trackMount, unmount } from './helpers/cleanup.js';
import { checksum, writeRandom } from './helpers/file-content.js';
import { assertSucceeded, qemuIo, succeeded } from './helpers/qemu.js';
import { must, run } from './helpers/run.js';
import { startSheep } from './helpers/sheep.js';
import { until } from './helpers/until.js';

const MIB = 1024 * 1024;
const DISK_MIB = 384;
const TIMEOUT = 120_000;

test('a full disk refuses new data, keeps the old, and goes on when there is space', {
  timeout: TIMEOUT,
}, async (t) => {
  const disk = await smallDisk(t, DISK_MIB);
  const sheep = await startSheep(t, { disks: [disk] });
  const path = (name: string) => join(sheep.mount, name);

  await writeRandom(path('keep.img'), 32 * MIB);
  const sum = await checksum(path('keep.img'));
  await writeRandom(path('old.img'), 48 * MIB);
  await must('qemu-img', ['create', '-f', 'raw', path('filler.img'), '4G']);

  let written = 0;
  let refused = '';
  for (; written < DISK_MIB + 64 && !refused; written += 8) {
    const result = await qemuIo(path('filler.img'), [`write -P 0x55 ${written}M 8M`, 'flush']);
    if (!succeeded(result)) refused = result.stdout + result.stderr;
  }
  t.ok(/No space left on device/.test(refused), `refused after ${written} MiB: ${refused.trim().split('\n').at(-1)}`);
  t.ok(written < DISK_MIB, 'before more was accepted than the disk holds');
  t.ok(written > DISK_MIB / 4, 'not long before');

  t.is(await checksum(path('keep.img')), sum, 'the data of another image is as it was');
  assertSucceeded(t, await qemuIo(path('filler.img'), ['read -P 0x55 0 8M']), 'what was accepted is there');
  assertSucceeded(
    t,
    await qemuIo(path('keep.img'), ['write -P 0x66 1M 2M', 'flush', 'read -P 0x66 1M 2M']),
    'what has its space can be overwritten',
  );
  t.is((await stat(path('keep.img'))).size, 32 * MIB);
  const { status, stderr } = await run('dd', [
    'if=/dev/zero',
    `of=${path('new.img')}`,
    'bs=1M',
    'count=64',
    'conv=fsync',
  ]);
  t.ok(status === 1 && /No space left on device/.test(stderr), 'a new image gets no data');

  await must('rm', ['-f', path('old.img'), path('new.img')]);
  const again = () => qemuIo(path('filler.img'), ['write -P 0x77 2G 16M', 'flush', 'read -P 0x77 2G 16M']);
  await until('space to come back', async () => succeeded(await again()), 20_000);
  t.pass('writes go on after an image was deleted');

  t.is((await sheep.stop()).status, 0);
  await startSheep(t, { disks: [disk], state: sheep.state, mount: sheep.mount });
  assertSucceeded(
    t,
    await qemuIo(path('filler.img'), ['read -P 0x55 0 8M', 'read -P 0x77 2G 16M']),
    'also after a restart',
  );
});

test('a daemon starts and reads on disks that are full to the last byte', { timeout: TIMEOUT }, async (t) => {
  const disk = await smallDisk(t, 128);
  const sheep = await startSheep(t, { disks: [disk] });
  const image = join(sheep.mount, 'keep.img');
  await writeRandom(image, 12 * MIB);
  await writeRandom(join(sheep.mount, 'old.img'), 12 * MIB);
  const sum = await checksum(image);
  t.is((await sheep.stop()).status, 0);

  await fill(t, disk);
  const full = await startSheep(t, { disks: [disk], state: sheep.state, mount: sheep.mount });
  t.is(await checksum(image), sum);
  await useFully(t, full, image);
  await until('the blocks of the deleted image', async () =>
    (await run('df', ['--output=avail', disk])).stdout.match(/\d{4}/),
  );
  await fill(t, disk);
  t.is((await full.stop()).status, 0);
  const again = await startSheep(t, { disks: [disk], state: sheep.state, mount: sheep.mount });
  assertSucceeded(t, await qemuIo(image, ['read -P 0x99 1M 2M']), 'what was written to a full disk');
  await again.killWorker();
  assertSucceeded(t, await qemuIo(image, ['read -P 0x99 1M 2M']), 'also after a kill');
  t.is((await again.stop()).status, 0);

  await must('rm', [join(disk, 'foreign')]);
  await startSheep(t, { disks: [disk], state: sheep.state, mount: sheep.mount });
  assertSucceeded(
    t,
    await qemuIo(image, ['write -P 1 0 1M', 'flush', 'read -P 1 0 1M']),
    'and writes when there is space',
  );
});

test('a daemon works with a state directory that is full to the last byte', { timeout: TIMEOUT }, async (t) => {
  const state = await smallDisk(t, 64);
  const disk = await smallDisk(t, 128);
  const sheep = await startSheep(t, { disks: [disk], state });
  const image = join(sheep.mount, 'keep.img');
  await writeRandom(image, 12 * MIB);
  await writeRandom(join(sheep.mount, 'old.img'), 12 * MIB);
  const sum = await checksum(image);
  await fill(t, state);
  t.is(await checksum(image), sum);
  await useFully(t, sheep, image);
  for (let round = 0; round < 100; round++) await must('chmod', [round % 2 ? '600' : '644', image]);
  const dead = await sheep.killWorker();
  await sheep.workerPid(dead);
  assertSucceeded(t, await qemuIo(image, ['write -P 0x77 4M 1M', 'read -P 0x99 1M 2M']), 'after a kill');
  t.is((await sheep.stop()).status, 0);

  const again = await startSheep(t, { disks: [disk], state, mount: sheep.mount });
  assertSucceeded(t, await qemuIo(image, ['read -P 0x77 4M 1M', 'read -P 0x99 1M 2M']), 'after a start');
  await must('rm', [join(state, 'foreign')]);
  await writeRandom(join(sheep.mount, 'new.img'), MIB);
  t.is((await again.stop()).status, 0);
});

/** A file system of its own, of so many MiB. */
async function smallDisk(t: Assertions, mebibytes: number): Promise<string> {
  const disk = join(await temporaryDirectory(t), 'disk');
  await must('mkdir', [disk]);
  trackMount(disk);
  await must('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', disk]);
  // After the daemon's own teardown.
  t.teardown(() => unmount(disk), { order: 1, force: true });
  return disk;
}

/** Takes every byte that is left, with a file that is not the daemon's. */
async function fill(t: Assertions, directory: string): Promise<void> {
  const file = join(directory, 'foreign');
  const { status, stderr } = await run('dd', ['if=/dev/zero', `of=${file}`, 'bs=4k', 'oflag=append', 'conv=notrunc']);
  t.ok(status === 1 && /No space left on device/.test(stderr), `${directory} is full`);
}

/** What never needs space, or gives some back: overwriting `image` and deleting old.img. */
async function useFully(t: Assertions, { mount }: { mount: string }, image: string): Promise<void> {
  const commands = ['write -P 0x99 1M 2M', 'flush', 'read -P 0x99 1M 2M'];
  assertSucceeded(t, await qemuIo(image, commands), 'what has its space is overwritten');
  await must('rm', [join(mount, 'old.img')]);
  t.absent(await stat(join(mount, 'old.img')).catch(() => null), 'and an image deleted');
}
