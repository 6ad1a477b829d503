/** Several hosts use one file at a time: what one has done, all others see; who has locked it, has locked it for all. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, open, readdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { Cluster } from './helpers/cluster.js';
import { run } from './helpers/run.js';
import { until } from './helpers/until.js';

const TEST = { timeout: 240_000 };
const ROUNDS = 40;
const SECTOR = 512;
const HELD_MS = 400;

/** A lock of flock(1) on a file, until it is let go. */
async function lock(t: Assertions, path: string): Promise<() => Promise<void>> {
  const child = spawn('flock', [path, 'sh', '-c', 'echo locked; read line'], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'), { order: -1, force: true });
  await once(child.stdout, 'data');
  return async () => {
    child.stdin.end('\n');
    await once(child, 'exit');
  };
}

test('hosts that write one file in turns see every byte that the others have written', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3);
  await writeFile(join(cluster.host(1).mount, 'file'), Buffer.alloc(ROUNDS * SECTOR));
  const files: FileHandle[] = [];
  for (const { mount } of cluster.all) files.push(await open(join(mount, 'file'), 'r+'));
  t.teardown(() => Promise.all(files.map((file) => file.close())), { order: -1 });
  let wrong = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // The third only reads.
    const writer = files[round % 2]!;
    await writer.write(Buffer.alloc(SECTOR, round + 1), 0, SECTOR, round * SECTOR);
    for (const file of files) {
      const { buffer } = await file.read(Buffer.alloc((round + 1) * SECTOR), 0, (round + 1) * SECTOR, 0);
      for (let sector = 0; sector <= round; sector++) {
        if (!buffer.subarray(sector * SECTOR, (sector + 1) * SECTOR).equals(Buffer.alloc(SECTOR, sector + 1))) wrong++;
      }
    }
  }
  t.is(wrong, 0, `${ROUNDS} rounds`);
});

test('a lock holds on every host, is waited for, and goes with its process and its host', TEST, async (t) => {
  const cluster = await Cluster.start(t, 3);
  await writeFile(join(cluster.host(1).mount, 'file'), '');
  const [one, two, three] = cluster.all.map(({ mount }) => join(mount, 'file')) as [string, string, string];
  const tryLock = async (path: string) => (await run('flock', ['-n', path, 'true'])).status === 0;
  const unlock = await lock(t, one);
  t.absent(await tryLock(two), 'it cannot be had on another host');
  const waiting = run('flock', [three, 'true'], { deadlineMs: 60_000 });
  setTimeout(() => void unlock(), HELD_MS);
  const { status, elapsedMs } = await waiting;
  t.is(status, 0);
  t.ok(elapsedMs >= HELD_MS, `it was waited for: ${Math.round(elapsedMs)} ms`);
  t.ok(await tryLock(two), 'and is free then');
  await lock(t, three);
  t.absent(await tryLock(one));
  await cluster.host(3).kill('everything');
  await until('the lock of a host that died to be gone', () => tryLock(one), 30_000);
});

test('a file that is removed on one host goes on for who has it open on another', TEST, async (t) => {
  const cluster = await Cluster.start(t, 2);
  const [one, two] = cluster.all.map(({ mount }) => join(mount, 'file')) as [string, string];
  await writeFile(one, Buffer.alloc(SECTOR, 7));
  const file = await open(two, 'r+');
  await unlink(one);
  for (const { mount } of cluster.all) t.alike(await readdir(mount), []);
  const { buffer } = await file.read(Buffer.alloc(SECTOR), 0, SECTOR, 0);
  t.ok(buffer.equals(Buffer.alloc(SECTOR, 7)), 'it is read');
  await file.write(Buffer.alloc(SECTOR, 8), 0, SECTOR, 0);
  await file.sync();
  t.ok((await file.read(Buffer.alloc(SECTOR), 0, SECTOR, 0)).buffer.equals(Buffer.alloc(SECTOR, 8)), 'and written');
  await file.close();
});
