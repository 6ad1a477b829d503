/** Hosts that come and go by the administrator's word, under a guest that writes; and one without disks. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { Cluster } from './helpers/cluster.js';
import { fio } from './helpers/fio.js';

const TEST = { timeout: 400_000 };
const MIB = 1024 * 1024;
const FILE_BYTES = 32 * MIB;
const WORK_DEADLINE_MS = 180_000;

test('a guest writes while a host joins and another one leaves, and nothing is lost', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3, { started: 2 });
  const [one, two, three] = cluster.all as [(typeof cluster.all)[0], ...typeof cluster.all];
  const image = join(one.mount, 'vm.img');
  await writeFile(image, Buffer.alloc(FILE_BYTES));
  const writing = fio(
    {
      ...{ filename: image, size: FILE_BYTES, rw: 'randwrite', bs: '4k', direct: 1, ioengine: 'libaio', iodepth: 4 },
      ...{
        time_based: true,
        runtime: 45,
        rate_iops: 150,
        verify: 'crc32c',
        verify_backlog: 64,
        verify_fatal: 1,
        verify_state_save: 0,
      },
    },
    WORK_DEADLINE_MS,
  );
  await cluster.startHost(three!);
  await cluster.healthy(3);
  const drained = await two!.dog(['node', 'drain', 'host2']);
  t.is(drained.status, 1, 'each of three hosts has one of three copies');
  t.ok(/add another host first/.test(drained.stderr), drained.stderr);
  const removed = await one.dog(['node', 'remove', 'host2', '--quiet'], { deadlineMs: WORK_DEADLINE_MS });
  t.is(removed.status, 0, removed.stderr);
  t.is((await two!.sheep.ended).status, 0, 'the host that was removed ends by itself');
  await writing;
  await cluster.healthy(2);
  t.ok((await readFile(image)).equals(await readFile(join(three!.mount, 'vm.img'))), 'both hosts read the same');
  const again = await two!.dog(['status']);
  t.is(again.status, 1);
});

test('a witness brings no disk, and shows the same directory', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3, { started: 2, disks: 0 });
  await cluster.startHost(cluster.host(3), ['--witness']);
  await writeFile(join(cluster.host(1).mount, 'file'), 'content');
  t.is(await readFile(join(cluster.host(3).mount, 'file'), 'utf8'), 'content');
  await cluster.healthy(3);
  const { stdout } = await cluster.host(3).dog(['node', 'list', '--json']);
  const disks = (JSON.parse(stdout) as { name: string; disks: unknown[] }[]).map(({ name, disks }) => [
    name,
    disks.length,
  ]);
  t.alike(disks, [
    ['host1', 1],
    ['host2', 1],
    ['host3', 0],
  ]);
});
