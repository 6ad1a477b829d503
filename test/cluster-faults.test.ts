/** Hosts die, are cut off and come back under guests that write; what they wrote is compared at the end, through every host. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { Cluster } from './helpers/cluster.js';
import { fio, longestMs } from './helpers/fio.js';
import type { Host } from './helpers/hosts.js';
import { sleep, until } from './helpers/until.js';

const TEST = { timeout: 400_000 };
const STORE_DEADLINE_MS = 60_000;
/** A host is called down after 4 s; the rest is for the store to have a new leader, on a busy machine. */
const [PAUSE_MS_MIN, PAUSE_MS_MAX] = [2000, 15_000] as const;
const RUN_S = 20;
const FILE_BYTES = 16 * 1024 * 1024;

/** Waits until the cluster can do without any one of its hosts. */
async function untilRedundant(cluster: Cluster): Promise<void> {
  await cluster.healthy(cluster.all.length);
  const members = async (host: Host) =>
    JSON.parse(await readFile(join(host.state, 'store.json'), 'utf8')).members.length;
  await until(
    'three hosts to keep the store',
    async () =>
      (await Promise.all(cluster.all.map(members))).every((count) => count === 3) && (await haveVoted(cluster)),
    STORE_DEADLINE_MS,
  );
}

/** Two were added to the first, each by becoming a voter last. */
async function haveVoted(cluster: Cluster): Promise<boolean> {
  const lines = cluster.all.flatMap((host) => host.sheep.lines);
  return lines.filter((line) => /votes from now on/.test(line)).length >= 2;
}

/** Makes the file that is written to; fio would do so itself, and not count it. */
async function fill(host: Host, name: string): Promise<void> {
  await writeFile(join(host.mount, name), Buffer.alloc(FILE_BYTES, name));
}

/** What is written is verified while it runs; answers the longest that a single request took. */
async function write(host: Host, name: string): Promise<number> {
  const job = await fio(
    {
      ...{ filename: join(host.mount, name), size: FILE_BYTES, rw: 'randrw', bs: '4k', direct: 1 },
      ...{ ioengine: 'libaio', iodepth: 8, time_based: true, runtime: RUN_S, rate_iops: '200,200' },
      ...{ verify: 'crc32c', verify_backlog: 64, verify_fatal: 1, verify_state_save: 0, fsync: 32, do_verify: 1 },
    },
    (RUN_S + 120) * 1000,
  );
  return longestMs(job);
}

/** Writes to groups with a copy on a host that is gone wait until it is called down: a shorter pause has seen no fault. */
function checkPause(t: Assertions, ms: number): void {
  t.ok(ms > PAUSE_MS_MIN && ms < PAUSE_MS_MAX, `the longest pause was ${Math.round(ms)} ms`);
}

async function sums(cluster: Cluster, name: string): Promise<string[]> {
  const read = async ({ mount }: Host) =>
    createHash('md5')
      .update(await readFile(join(mount, name)))
      .digest('hex');
  return Promise.all(cluster.all.map(read));
}

async function checkAll(t: Assertions, cluster: Cluster, names: readonly string[]): Promise<void> {
  await cluster.healthy(cluster.all.length, cluster.host(2));
  for (const name of names) {
    const found = await sums(cluster, name);
    t.is(new Set(found).size, 1, `${name} is the same through every host: ${found.join(', ')}`);
  }
}

test('guests go on when a worker, and then everything on another host, is killed', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3);
  await untilRedundant(cluster);
  const [one, two, three] = cluster.all as [Host, Host, Host];
  await Promise.all([fill(two, 'two'), fill(three, 'three')]);
  const writing = Promise.all([write(two, 'two'), write(three, 'three')]);
  await sleep(4000);
  await two.kill('worker');
  await sleep(5000);
  // It was the first to keep the store, and most likely makes the maps.
  await one.kill('everything');
  const longest = await writing;
  for (const ms of longest) checkPause(t, ms);
  const { hosts, healthy } = await cluster.status(two);
  t.absent(healthy);
  t.is(hosts.find(({ name }) => name === 'host1')?.state, 'down');
  await cluster.startHost(one);
  await checkAll(t, cluster, ['two', 'three']);
});

test('guests go on when another host is cut off, which serves again when it is back', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3);
  await untilRedundant(cluster);
  const [one, two, three] = cluster.all as [Host, Host, Host];
  await Promise.all([fill(two, 'two'), fill(three, 'three')]);
  const writing = Promise.all([write(two, 'two'), write(three, 'three')]);
  await sleep(3000);
  await one.cut();
  await sleep(10_000);
  await one.restore();
  const longest = await writing;
  for (const ms of longest) checkPause(t, ms);
  await checkAll(t, cluster, ['two', 'three']);
});
