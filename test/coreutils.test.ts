/** What an admin does to images with the tools of every system. */
import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { temporaryDirectory } from './helpers/cleanup.js';
import { checksum, writeRandom } from './helpers/file-content.js';
import { must, run } from './helpers/run.js';
import { startSheep } from './helpers/sheep.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;
const TIMEOUT = 120_000;
/** What is to be quick is done so often, and the quickest counts: a busy machine may hold anything up once. */
const ROUNDS = 3;

async function allocated(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

test('a copy of a large sparse image is instant and independent', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const golden = join(mount, 'golden.img');
  const copy = join(mount, 'vm7.img');
  // 1 GiB of data in 100 GiB, here and there.
  await truncate(await made(golden), 100 * GIB);
  const parts = Array.from({ length: 16 }, (_, part) => part * 6 * GIB + part * 64 * 1024);
  for (const offset of parts) await writeRandom(golden, 64 * MIB, offset);
  const sums = await Promise.all(parts.map((offset) => checksum(golden, offset, 64 * MIB)));

  const copies = [];
  for (let round = 0; round < ROUNDS; round++) copies.push((await must('cp', [golden, `${copy}${round}`])).elapsedMs);
  t.ok(Math.min(...copies) < 1000, `cp took ${copies.map(Math.round)} ms`);
  for (let round = 1; round < ROUNDS; round++) await must('rm', [`${copy}${round}`]);
  await must('mv', [`${copy}0`, copy]);
  t.is((await stat(copy)).size, 100 * GIB);
  t.alike(await Promise.all(parts.map((offset) => checksum(copy, offset, 64 * MIB))), sums, 'the copy is the same');

  await writeRandom(copy, MIB, parts[3]! + 512);
  await writeRandom(golden, MIB, parts[9]! + 4096);
  t.is(await checksum(golden, parts[3]!, 64 * MIB), sums[3], 'a write to the copy leaves the original alone');
  t.is(await checksum(copy, parts[9]!, 64 * MIB), sums[9], 'a write to the original leaves the copy alone');
  t.not(await checksum(copy, parts[3]!, 64 * MIB), sums[3]);

  await must('rm', [golden]);
  for (const [index, sum] of sums.entries()) {
    if (index !== 3) t.is(await checksum(copy, parts[index]!, 64 * MIB), sum, `part ${index} outlives the original`);
  }
});

test('cp copies in and out and between, keeping holes', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const outside = await temporaryDirectory(t);
  const source = join(outside, 'source.img');
  await writeRandom(source, 6 * MIB, 0);
  await writeRandom(source, 3 * MIB, 50 * MIB + 4096);
  await truncate(source, 256 * MIB + 512);
  const sum = await checksum(source);

  const copies: [string, string, string[]][] = [
    [source, join(mount, 'in.img'), []],
    [source, join(mount, 'in-sparse.img'), ['--sparse=always']],
    [join(mount, 'in.img'), join(mount, 'between.img'), []],
    [join(mount, 'in.img'), join(mount, 'between-sparse.img'), ['--sparse=always']],
    [join(mount, 'in.img'), join(mount, 'no-clone.img'), ['--reflink=never']],
    [join(mount, 'between.img'), join(outside, 'out.img'), []],
    [join(mount, 'in.img'), join(mount, 'between.img'), []],
  ];
  for (const [from, to, options] of copies) {
    await must('cp', [...options, from, to]);
    const name = `${to.split('/').at(-1)} ${options.join(' ')}`;
    t.is((await stat(to)).size, 256 * MIB + 512, name);
    t.is(await checksum(to), sum, `${name}: content`);
    t.ok((await allocated(to)) <= 32 * MIB, `${name}: ${await allocated(to)} bytes in use`);
  }
  await must('cp', ['--sparse=never', source, join(mount, 'full.img')]);
  t.is(await checksum(join(mount, 'full.img')), sum, 'without holes');
});

test('an image of 1 TiB is made, listed, opened and deleted in less than a second', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'huge.img');
  const took = new Map<string, number[]>();
  const timed = async (what: string, command: string, args: readonly string[]) => {
    const { elapsedMs, stdout } = await must(command, args);
    took.set(what, [...(took.get(what) ?? []), Math.round(elapsedMs)]);
    return stdout;
  };
  for (let round = 0; round < ROUNDS; round++) {
    await timed('truncate', 'truncate', ['-s', '1T', image]);
    t.ok((await timed('ls', 'ls', ['-ls', mount])).includes(String(TIB)));
    await timed('qemu-img info', 'qemu-img', ['info', image]);
    t.is(
      await timed('dd at the end', 'dd', [`if=${image}`, 'bs=1', 'count=1', `skip=${TIB - 1}`, 'status=none']),
      '\0',
    );
    await writeRandom(image, MIB, 1_000_000 * MIB);
    await timed('truncate to half', 'truncate', ['-s', '512G', image]);
    await timed('rm', 'rm', [image]);
    t.alike(await readdir(mount), []);
  }
  for (const [what, ms] of took) t.ok(Math.min(...ms) < 1000, `${what} took ${ms} ms`);
});

test('dd writes with every block size, appends and syncs', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const source = join(await temporaryDirectory(t), 'source');
  await writeRandom(source, 9 * MIB + 777);
  const sum = await checksum(source);
  for (const options of [['bs=1000'], ['bs=64k'], ['bs=3M', 'conv=fsync'], ['bs=1M', 'oflag=dsync'], ['bs=8M']]) {
    const target = join(mount, 'dd.img');
    await must('dd', [`if=${source}`, `of=${target}`, 'status=none', ...options]);
    t.is(await checksum(target), sum, options.join(' '));
    await must('rm', [target]);
  }
  const direct = join(mount, 'direct.img');
  await must('dd', ['if=/dev/zero', `of=${direct}`, 'bs=512', 'count=20', 'oflag=direct', 'status=none']);
  t.is((await stat(direct)).size, 20 * 512);
  await must('sh', ['-c', 'cat "$0" >> "$1"', source, direct]);
  t.is((await stat(direct)).size, 20 * 512 + 9 * MIB + 777, 'appended');
  t.is(await checksum(direct, 20 * 512), sum);
});

test('truncate and fallocate give and take', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');
  await writeRandom(image, 24 * MIB);
  const head = await checksum(image, 0, 10 * MIB);

  await must('fallocate', ['--punch-hole', '--offset', String(12 * MIB), '--length', String(8 * MIB), image]);
  t.ok((await allocated(image)) <= 17 * MIB, 'a hole takes no space');
  t.is(
    (await run('cmp', ['-n', String(8 * MIB), '-i', `${12 * MIB}:0`, image, '/dev/zero'])).status,
    0,
    'and is zeros',
  );
  await must('fallocate', ['--zero-range', '--offset', String(20 * MIB), '--length', String(8 * MIB), image]);
  t.is((await stat(image)).size, 28 * MIB, 'a range of zeros beyond the end makes it larger');
  await must('fallocate', ['--length', String(40 * MIB), image]);
  t.is((await stat(image)).size, 40 * MIB);
  t.ok((await allocated(image)) >= 36 * MIB, `preallocated: ${await allocated(image)} bytes in use`);

  await must('truncate', ['-s', String(10 * MIB), image]);
  t.is(await checksum(image), head);
  t.ok((await allocated(image)) <= 12 * MIB, 'what was cut off takes no space');
  await must('truncate', ['-s', '1G', image]);
  t.is((await run('cmp', ['-n', String(64 * MIB), '-i', `${10 * MIB}:0`, image, '/dev/zero'])).status, 0);
  t.is(await checksum(image, 0, 10 * MIB), head);
});

test('mv, rm, chmod, chown, touch and stat', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const [a, b] = [join(mount, 'a.img'), join(mount, 'b with blanks and ümlaut.img')];
  await writeRandom(a, 5 * MIB);
  const sum = await checksum(a);
  const { ino } = await stat(a);

  await must('mv', [a, b]);
  t.alike(await readdir(mount), ['b with blanks and ümlaut.img']);
  t.is((await stat(b)).ino, ino, 'the same file under another name');
  await writeRandom(a, 1000);
  await must('mv', [b, a]);
  t.is(await checksum(a), sum, 'moved over another one');

  await must('chmod', ['0640', a]);
  await must('chown', ['1234:2345', a]);
  await must('touch', ['-d', '2001-02-03 04:05:06.789 UTC', a]);
  const { stdout } = await must('stat', ['-c', '%a %u %g %s %Y %F %h', a]);
  t.is(stdout.trim(), `640 1234 2345 ${5 * MIB} 981173106 regular file 1`);
  await must('sh', ['-c', 'printf x | dd of="$0" conv=notrunc status=none', a]);
  t.ok((await stat(a)).mtimeMs > Date.now() - 60_000, 'a write changes the time');

  t.is((await run('mkdir', [join(mount, 'directory')])).status, 1, 'no directories');
  t.is((await run('ln', [a, join(mount, 'hard')])).status, 1, 'no hard links');
  t.is((await run('mv', ['-n', join(mount, 'none'), a])).status, 1, 'no such file');
  await must('rm', [a]);
  t.alike(await readdir(mount), []);
});

test('a deleted image serves whoever has it open', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');
  await writeRandom(image, 5 * MIB);
  const sum = await checksum(image);
  const { stdout } = await must('sh', ['-c', 'exec 3<"$0"; rm "$0"; ls -A "$1"; sha256sum <&3', image, mount]);
  t.is(stdout.trim(), `${sum}  -`);
});

test('df and extended attributes', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const image = join(mount, 'vm1.img');
  const free = async () => Number((await must('df', ['-B1', '--output=avail', mount])).stdout.split('\n')[1]);
  const [size, available] = (await must('df', ['-B1', '--output=size,avail', mount])).stdout
    .split('\n')[1]!
    .trim()
    .split(/\s+/)
    .map(Number);
  t.ok(size! > 0 && available! > 0 && available! <= size!, `${available} of ${size} bytes`);

  const before = await free();
  await writeRandom(image, 64 * MIB);
  await must('sync', [image]);
  const taken = before - (await free());
  t.ok(taken > 32 * MIB, `${taken} bytes less after 64 MiB were written`);

  await must('setfattr', ['-n', 'user.owner', '-v', 'team a', image]);
  t.is((await must('getfattr', ['--only-values', '-n', 'user.owner', image])).stdout, 'team a');
  t.ok((await must('getfattr', ['-d', image])).stdout.includes('user.owner="team a"'), 'listed');
  await must('setfattr', ['-x', 'user.owner', image]);
  t.is((await run('getfattr', ['-n', 'user.owner', image])).status, 1, 'removed');
});

test('everything is there after the daemon started again', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  const path = (name: string) => join(sheep.mount, name);
  await writeRandom(path('a.img'), 20 * MIB, 3 * MIB);
  await must('cp', [path('a.img'), path('b.img')]);
  await writeRandom(path('b.img'), MIB, 4 * MIB);
  await must('chmod', ['0600', path('b.img')]);
  await must('setfattr', ['-n', 'user.owner', '-v', 'me', path('a.img')]);
  const sums = [await checksum(path('a.img')), await checksum(path('b.img'))];
  const listing = async () => (await must('ls', ['-lsi', '--full-time', sheep.mount])).stdout;
  const before = await listing();
  t.is((await sheep.stop()).status, 0);

  const again = await startSheep(t, { state: sheep.state, mount: sheep.mount });
  t.alike([await checksum(path('a.img')), await checksum(path('b.img'))], sums);
  t.is(await listing(), before, 'names, numbers, sizes, owners, modes and times');
  t.is((await must('getfattr', ['--only-values', '-n', 'user.owner', path('a.img')])).stdout, 'me');
  t.is((await again.stop()).status, 0);
});

async function made(path: string): Promise<string> {
  await must('touch', [path]);
  return path;
}
