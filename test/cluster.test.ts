/** Several hosts with one directory: real daemons in network namespaces of their own. */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { Cluster } from './helpers/cluster.js';
import { bootGuest } from './helpers/guest.js';
import { holdWithGuest, tryGuest } from './helpers/qemu.js';
import { must } from './helpers/run.js';

const TEST = { timeout: 240_000 };
const JOINED_MS_MAX = 10_000;
const MIB = 1024 * 1024;

test('hosts that join with a token show the same files within 10 s of their start', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3, { started: 1 });
  const [first] = cluster.all;
  await writeFile(join(first!.mount, 'before.img'), Buffer.alloc(MIB, 1));
  const token = await cluster.token();
  t.ok(/^[\w-]+$/.test(token), 'the token alone is printed, in one line');
  for (const host of cluster.all.slice(1)) {
    const startedMs = performance.now();
    await cluster.startHost(host);
    const names = await readdir(host.mount);
    const elapsedMs = performance.now() - startedMs;
    t.alike(names, ['before.img'], `host ${host.number}`);
    t.ok(elapsedMs < JOINED_MS_MAX, `after ${Math.round(elapsedMs)} ms`);
    t.ok((await readFile(join(host.mount, 'before.img'))).equals(Buffer.alloc(MIB, 1)), 'with what is in it');
  }
  await writeFile(join(cluster.host(3).mount, 'after.img'), 'x');
  for (const host of cluster.all) t.alike((await readdir(host.mount)).sort(), ['after.img', 'before.img']);
  await cluster.healthy(3);
});

test('a guest that was installed on one host starts on another one, and not on two at once', TEST, async (t) => {
  const cluster = await Cluster.start(t, 2);
  const [image, same] = cluster.all.map(({ mount }) => join(mount, 'vm.img')) as [string, string];
  await must('qemu-img', ['create', '-q', '-f', 'raw', image, '64M']);
  const make =
    '/sbin/mke2fs -q -t ext4 -E discard /dev/vda && mount -t ext4 /dev/vda /mnt && head -c 5000000 /dev/urandom > /mnt/file';
  const sum = 'md5sum /mnt/file && umount /mnt';
  const installed = await (await bootGuest(t, { image, script: `${make} && ${sum}` })).ended;
  t.ok(/GUEST-OK/.test(installed), installed.slice(-500));
  const mount = '/sbin/e2fsck -n -f /dev/vda && mount -t ext4 /dev/vda /mnt';
  const started = await (await bootGuest(t, { image: same, script: `${mount} && ${sum}` })).ended;
  t.ok(/GUEST-OK/.test(started), started.slice(-500));
  t.is(sumIn(started), sumIn(installed), 'it finds what it wrote');
  const holder = await holdWithGuest(t, image);
  const refused = await tryGuest(same);
  t.is(refused.status, 1);
  t.ok(/Failed to get "write" lock/.test(refused.stderr), refused.stderr);
  await holder.kill();
});

function sumIn(console: string): string {
  return /[0-9a-f]{32}/.exec(console)?.[0] ?? 'none';
}

test('what one host changes of a file, all others see when the call has returned', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3);
  const paths = cluster.all.map(({ mount }) => join(mount, 'file'));
  const [one, two, three] = paths as [string, string, string];
  await writeFile(one, 'x');
  const look = async () => {
    const stats = await Promise.all(paths.map((path) => stat(path)));
    return stats.map(({ size, mode, uid, mtimeMs }) => `${size} ${mode.toString(8)} ${uid} ${mtimeMs}`);
  };
  const steps: [string, () => Promise<unknown>][] = [
    ['chmod', () => must('chmod', ['640', two])],
    ['chown', () => must('chown', ['123', three])],
    ['truncate', () => must('truncate', ['-s', '10M', two])],
    ['touch', () => must('touch', ['-d', '2001-02-03 04:05:06', one])],
    ['append', () => must('sh', ['-c', `echo more >> ${three}`])],
    ['truncate to less', () => must('truncate', ['-s', '5', one])],
  ];
  for (const [name, step] of steps) {
    const before = await look();
    await step();
    const after = await look();
    t.is(new Set(after).size, 1, `${name}: ${after.join(', ')}`);
    t.not(after[0], before[0]);
  }
  for (const [at, path] of paths.entries()) {
    const to = `${path}-${at}`;
    await must('mv', [at === 0 ? path : `${path}-${at - 1}`, to]);
    const lists = await Promise.all(cluster.all.map(({ mount }) => readdir(mount)));
    t.alike(lists, [[`file-${at}`], [`file-${at}`], [`file-${at}`]], 'a name');
  }
});
