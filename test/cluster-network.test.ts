/** What happens to the network of a cluster: a power cut of everything, a firewall, a host that gets another address. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { Cluster } from './helpers/cluster.js';
import type { Host } from './helpers/hosts.js';
import { until } from './helpers/until.js';

const TEST = { timeout: 300_000 };
/** The hosts find each other within 5 s; then the store chooses a leader, a map is made, and the mounts are made. */
const STARTED_MS_MAX = 20_000;
const BYTES = 1024 * 1024;
const LINKS_PORT = 7000;

async function must(host: Host, command: readonly [string, ...string[]]): Promise<void> {
  const { status, stderr } = await host.exec(command);
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
}

/** Each host writes a file, which all others read. */
async function checkShared(t: Assertions, cluster: Cluster, round: number): Promise<void> {
  for (const writer of cluster.all) {
    const name = `from-${writer.number}-${round}`;
    const data = Buffer.alloc(BYTES, writer.number + 10 * round);
    await writeFile(join(writer.mount, name), data);
    for (const { number, mount } of cluster.all) {
      t.ok((await readFile(join(mount, name))).equals(data), `host ${number} reads ${name}`);
    }
  }
}

test('hosts that lose power together and start together serve what was written', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3);
  await cluster.healthy(3);
  await checkShared(t, cluster, 1);
  await Promise.all(cluster.all.map((host) => host.kill('everything')));
  const startedMs = performance.now();
  await Promise.all(cluster.all.map((host) => host.startSheep(['--name', `host${host.number}`])));
  const elapsedMs = performance.now() - startedMs;
  t.ok(elapsedMs < STARTED_MS_MAX, `all serve after ${Math.round(elapsedMs)} ms`);
  for (const { mount } of cluster.all) {
    t.ok((await readFile(join(mount, 'from-2-1'))).equals(Buffer.alloc(BYTES, 12)));
  }
  await cluster.healthy(3);
  await checkShared(t, cluster, 2);
});

test('a host that no TCP connection for links can be made with goes on by the swarm', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3);
  await cluster.healthy(3);
  const apart = cluster.host(3);
  await must(apart, ['nft', 'add', 'table', 'ip', 'wall']);
  for (const hook of ['input', 'output']) {
    await must(apart, ['nft', `add chain ip wall ${hook} { type filter hook ${hook} priority 0 ; }`]);
    for (const port of ['sport', 'dport']) {
      await must(apart, ['nft', `add rule ip wall ${hook} tcp ${port} ${LINKS_PORT} drop`]);
    }
  }
  // Its links end once nothing is heard by them any more; the next ones go another way.
  await until('the hosts to be well without TCP', async () => (await cluster.status(apart)).healthy, 60_000);
  await checkShared(t, cluster, 1);
  await must(apart, ['nft', 'delete', 'table', 'ip', 'wall']);
  await checkShared(t, cluster, 2);
  await cluster.healthy(3);
});
