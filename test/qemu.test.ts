/** qemu's own tools on the mount. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { temporaryDirectory } from './helpers/cleanup.js';
import { checksum, writeRandom } from './helpers/file-content.js';
import { assertSucceeded, holdWithGuest, qemuIo, succeeded, tryGuest } from './helpers/qemu.js';
import { Random } from './helpers/random.js';
import { must, run } from './helpers/run.js';
import { startSheep } from './helpers/sheep.js';
import { until } from './helpers/until.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const OBJECT_BYTES = 4 * MIB;
const SECTOR_BYTES = 512;
const LOCK_REFUSED = /Failed to get "write" lock/;
const TIMEOUT = 120_000;

interface MapExtent {
  start: number;
  length: number;
  zero: boolean;
  data: boolean;
}

test('qemu-img creates, describes, grows and shrinks an image', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');

  await must('qemu-img', ['create', '-f', 'raw', image, '10G']);
  const info = JSON.parse((await must('qemu-img', ['info', '--output=json', image])).stdout);
  t.is(info['virtual-size'], 10 * GIB);
  t.is(info.format, 'raw');
  t.ok(info['actual-size'] < MIB, `an empty image uses ${info['actual-size']} bytes`);

  await must('qemu-img', ['resize', '-f', 'raw', image, '+6G']);
  t.is((await stat(image)).size, 16 * GIB);
  assertSucceeded(t, await qemuIo(image, [`write -P 0x5a ${15 * GIB} 64k`, `read -P 0x5a ${15 * GIB} 64k`]), 'written');

  await must('qemu-img', ['resize', '-f', 'raw', '--shrink', image, '1G']);
  t.is((await stat(image)).size, GIB);
  await must('qemu-img', ['resize', '-f', 'raw', image, '16G']);
  assertSucceeded(t, await qemuIo(image, [`read -P 0 ${15 * GIB} 64k`]), 'what was cut off reads as zeros');
});

test('qemu-img creates with every preallocation', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  for (const preallocation of ['off', 'falloc', 'full']) {
    const image = join(mount, `${preallocation}.img`);
    await must('qemu-img', ['create', '-f', 'raw', '-o', `preallocation=${preallocation}`, image, '24M']);
    const { size, blocks } = await stat(image);
    t.is(size, 24 * MIB, preallocation);
    t.is(blocks * SECTOR_BYTES >= 24 * MIB, preallocation !== 'off', `${preallocation}: ${blocks} blocks in use`);
    assertSucceeded(t, await qemuIo(image, ['read -P 0 0 24M']), `${preallocation} reads as zeros`);
  }
});

test('qemu-io writes sectors of 512 bytes, across objects and at the end', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');
  await must('qemu-img', ['create', '-f', 'raw', image, '64M']);
  const edge = OBJECT_BYTES - SECTOR_BYTES;
  const last = 64 * MIB - SECTOR_BYTES;
  const result = await qemuIo(image, [
    'write -P 0xa5 512 512',
    'read -P 0 0 512',
    'read -P 0xa5 512 512',
    'read -P 0 1024 512',
    `write -P 0x11 ${edge} 1024`,
    `read -P 0x11 ${edge} 1024`,
    `read -P 0 ${edge - SECTOR_BYTES} 512`,
    `read -P 0 ${edge + 1024} 512`,
    `write -P 0x77 ${last} 512`,
    `read -P 0x77 ${last} 512`,
    'write -P 0x22 3M 10M',
    'read -P 0x22 3M 10M',
    'flush',
  ]);
  assertSucceeded(t, result, 'every pattern is where it was written');
  t.is((await stat(image)).size, 64 * MIB, 'the size is as created');
});

test('discard and write-zeroes give space back and read as zeros', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');
  await must('qemu-img', ['create', '-f', 'raw', image, '64M']);
  const blocks = async () => (await stat(image)).blocks * SECTOR_BYTES;

  assertSucceeded(t, await qemuIo(image, ['write -P 0x33 0 32M', 'flush']), 'written');
  t.ok((await blocks()) >= 32 * MIB);
  const discarded = await qemuIo(
    image,
    ['discard 4M 16M', 'read -P 0x33 0 4M', 'read -P 0 4M 16M', 'read -P 0x33 20M 12M'],
    ['-d', 'unmap'],
  );
  assertSucceeded(t, discarded, 'what was discarded is zeros, the rest as it was');
  t.ok((await blocks()) <= 17 * MIB, 'the discarded objects take no space');

  const zeroed = await qemuIo(
    image,
    ['write -z 20M 1M', 'write -z -u 22M 6M', 'read -P 0 20M 1M', 'read -P 0x33 21M 1M', 'read -P 0 22M 6M'],
    ['-d', 'unmap'],
  );
  assertSucceeded(t, zeroed, 'zeroed with and without unmap');

  const small = ['write -P 0x44 512 4096', 'discard 1024 512', 'read -P 0x44 512 512', 'read -P 0x44 1536 3072'];
  const odd = await qemuIo(image, [...small, 'write -z 2048 512', 'read -P 0 2048 512'], ['-d', 'unmap']);
  assertSucceeded(t, odd, 'single sectors discarded and zeroed');
});

test('an image and a plain file stay equal under the same random operations', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const plain = join(await temporaryDirectory(t), 'plain.img');
  const image = join(mount, 'vm1.img');
  // Not whole objects, but whole blocks of the plain file's file system, without which qemu does not write to it.
  const size = 5 * OBJECT_BYTES + 3 * 4096;
  for (const path of [image, plain]) await must('qemu-img', ['create', '-f', 'raw', path, `${size}`]);

  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  t.comment(`SEED=${seed}`);
  const numbers = new Random(seed);
  const random = () => numbers.next();
  for (let round = 0; round < 4; round++) {
    const commands = Array.from({ length: 60 }, () => randomCommand(random, size));
    for (const path of [image, plain]) {
      const result = await qemuIo(path, commands, ['-d', 'unmap']);
      assertSucceeded(t, result, `round ${round} on ${path === image ? 'the image' : 'the plain file'}`);
    }
    const { status, stdout } = await run('cmp', [image, plain]);
    t.is(status, 0, `equal after round ${round} ${stdout}`);
  }
});

test('qemu-img map shows data where it was written and nowhere else', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');
  await must('qemu-img', ['create', '-f', 'raw', image, '1G']);
  const written = [
    [8 * MIB, 4 * MIB],
    [100 * MIB, 64 * 1024],
    [1020 * MIB, 4 * MIB],
  ] as const;
  assertSucceeded(
    t,
    await qemuIo(image, [...written.map(([at, length]) => `write -P 1 ${at} ${length}`), 'flush']),
    'written',
  );

  const extents: MapExtent[] = JSON.parse((await must('qemu-img', ['map', '--output=json', image])).stdout);
  t.is(
    extents.reduce((sum, { length }) => sum + length, 0),
    GIB,
    'the map covers the image',
  );
  const data = extents.filter((extent) => extent.data);
  for (const [at, length] of written) {
    const covered = data
      .map(({ start, length: size }) => Math.min(start + size, at + length) - Math.max(start, at))
      .reduce((sum, bytes) => sum + Math.max(0, bytes), 0);
    t.is(covered, length, `data at ${at}`);
  }
  const mapped = data.reduce((sum, { length }) => sum + length, 0);
  t.ok(mapped <= 12 * MIB, `${mapped} bytes are said to be data`);
});

test('raw to qcow2 and back through the mount loses nothing', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const source = join(await temporaryDirectory(t), 'source.raw');
  await writeRandom(source, 20 * MIB, 0);
  await writeRandom(source, 3 * MIB + 512, 60 * MIB);
  const path = (name: string) => join(mount, name);
  const convert = (from: string, to: string, a: string, b: string) =>
    must('qemu-img', ['convert', '-t', 'none', '-T', 'none', '-f', from, '-O', to, a, b]);

  await convert('raw', 'raw', source, path('a.raw'));
  await convert('raw', 'qcow2', path('a.raw'), path('b.qcow2'));
  await must('qemu-img', ['check', path('b.qcow2')]);
  await convert('qcow2', 'raw', path('b.qcow2'), path('c.raw'));
  t.is((await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', source, path('c.raw')])).status, 0);
  t.is((await run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', source, path('b.qcow2')])).status, 0);
  t.is(await checksum(path('c.raw')), await checksum(source));
  t.ok((await stat(path('c.raw'))).blocks * SECTOR_BYTES <= 32 * MIB, 'the hole was not written');

  await qemuIo(path('c.raw'), ['write -P 9 61M 512']);
  t.is((await run('qemu-img', ['compare', source, path('c.raw')])).status, 1, 'a changed sector is seen');
});

test('a second writer is refused while a virtual machine has the image', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  const image = join(sheep.mount, 'vm1.img');
  await must('qemu-img', ['create', '-f', 'raw', image, '16M']);
  const holder = await holdWithGuest(t, image);
  const write = () => qemuIo(image, ['write -P 1 0 512']);

  for (const [who, result] of [
    ['qemu-io', await write()],
    ['a second virtual machine', await tryGuest(image)],
    ['qemu-img', await run('qemu-img', ['resize', '-f', 'raw', image, '+1M'])],
  ] as const) {
    t.is(result.status, 1, `${who} ends with 1`);
    t.ok(LOCK_REFUSED.test(result.stderr), `${who} cannot lock: ${result.stderr.trim().split('\n')[0]}`);
  }
  assertSucceeded(t, await qemuIo(image, ['read -P 0 0 512'], ['-r', '-U']), 'nothing was written');
  t.is((await stat(image)).size, 16 * MIB);

  const dead = await sheep.killWorker();
  await sheep.workerPid(dead);
  t.ok(LOCK_REFUSED.test((await write()).stderr), 'the lock outlives the worker');

  await holder.kill();
  // The kernel tells of a closed file after the process is gone.
  await until('the lock to be free', async () => succeeded(await write()));
  assertSucceeded(t, await qemuIo(image, ['read -P 1 0 512']), 'the dead holder keeps no lock');
});

/** A command of qemu-io for a random range in whole sectors, often at the edge of an object. */
function randomCommand(random: () => number, size: number): string {
  const sectors = size / SECTOR_BYTES;
  const atEdge = random() < 0.3;
  const object = Math.floor(random() * (sectors / 8192)) * 8192;
  const first = atEdge ? Math.max(0, object - Math.floor(random() * 9)) : Math.floor(random() * sectors);
  const length = Math.max(1, Math.floor(random() ** 4 * 16_000));
  const range = `${first * SECTOR_BYTES} ${Math.min(length, sectors - first) * SECTOR_BYTES}`;
  const kind = random();
  if (kind < 0.6) return `write -P ${1 + Math.floor(random() * 254)} ${range}`;
  if (kind < 0.75) return `discard ${range}`;
  if (kind < 0.85) return `write -z ${range}`;
  if (kind < 0.95) return `write -z -u ${range}`;
  return 'flush';
}
