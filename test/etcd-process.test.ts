import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Assertions, test } from 'brittle';
import { openEtcd } from '../lib/coordination/etcd.js';
import type { EtcdMemberOptions } from '../lib/coordination/etcd-arguments.js';
import { etcdVersion } from '../lib/coordination/etcd-binary.js';
import { LOG_BYTES_MAX, trimLog } from '../lib/coordination/etcd-log.js';
import { EtcdProcess, type EtcdProcessOptions, wipeEtcd } from '../lib/coordination/etcd-process.js';
import { isRunning, processOf } from '../lib/coordination/etcd-running.js';
import { testCertificates } from './helpers/certificates.js';
import { temporaryDirectory, track } from './helpers/cleanup.js';
import { freePorts } from './helpers/etcd.js';
import { until } from './helpers/until.js';

const OWNER = fileURLToPath(new URL('./helpers/etcd-owner.js', import.meta.url));

async function optionsFor(t: Assertions): Promise<EtcdProcessOptions & { said: string[] }> {
  const root = await temporaryDirectory(t);
  const [peer, client] = await freePorts(2);
  const member: EtcdMemberOptions = {
    name: 'one',
    peerUrl: `https://127.0.0.1:${peer}`,
    clientUrl: `https://127.0.0.1:${client}`,
    initialCluster: { one: `https://127.0.0.1:${peer}` },
    initialState: 'new',
    token: root,
    tls: testCertificates(root),
  };
  const said: string[] = [];
  const directory = join(root, 'etcd');
  // Whatever the test leaves running.
  t.teardown(() => wipeEtcd(directory), { order: 500, force: true });
  return { directory, member, said, say: (message) => said.push(message) };
}

async function openProcess(t: Assertions, options: EtcdProcessOptions): Promise<EtcdProcess> {
  const etcd = await EtcdProcess.open(options);
  track(etcd.pid!);
  t.teardown(() => etcd.release(), { order: 100 });
  return etcd;
}

/** Waits until it answers on its socket, and puts the key. */
async function put(etcd: EtcdProcess, key: string): Promise<number> {
  return until(
    `${key} to be stored`,
    async () => {
      try {
        const store = await openEtcd({ endpoints: [etcd.socketUrl] });
        const { revision } = await store.transaction({ success: [{ put: key, value: Buffer.from('x') }] });
        await store.close();
        return revision;
      } catch {
        return null;
      }
    },
    20_000,
  );
}

test('a member runs, is reached by its socket and over TLS, and ends', async (t) => {
  const options = await optionsFor(t);
  const etcd = await openProcess(t, options);
  const revision = await put(etcd, '/a');
  const { caFile, certFile, keyFile } = options.member.tls;
  const [ca, cert, key] = [caFile, certFile, keyFile].map((path) => readFileSync(path));
  const store = await openEtcd({ endpoints: [options.member.clientUrl], tls: { ca: ca!, cert: cert!, key: key! } });
  t.is((await store.get('/a'))?.modRevision, revision);
  await store.close();
  const open = readdirSync(`/proc/${etcd.pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${etcd.pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  t.alike(
    open.filter((path) => path.startsWith('/') && !path.startsWith(options.directory)),
    ['/dev/null'],
    'inherits nothing',
  );
  t.is(statSync(options.directory).mode & 0o777, 0o700);
  const { pid } = etcd;
  await Promise.all([etcd.stop(), etcd.stop()]);
  t.is(await processOf(pid!), null);
  t.alike(options.said, []);
});

test('a member outlives whoever started it, and is found by the next one', async (t) => {
  const options = await optionsFor(t);
  const { directory, member } = options;
  for (const withoutRecord of [false, true]) {
    const owner = spawn(process.execPath, [OWNER, JSON.stringify({ directory, member })], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(owner.stdout, 'data');
    const pid = Number(String(line));
    track(pid);
    const exit = once(owner, 'exit');
    owner.kill('SIGKILL');
    await exit;
    if (withoutRecord) rmSync(join(directory, 'pid'));
    const etcd = await openProcess(t, options);
    t.is(etcd.pid, pid, withoutRecord ? 'without a record of it' : 'by its record');
    await put(etcd, '/a');
    await etcd.release();
    t.ok(await processOf(pid), 'released, it goes on');
    await (await openProcess(t, options)).stop();
  }
  t.alike(options.said, []);
});

test('a record that names somebody else’s process is not believed', async (t) => {
  const options = await optionsFor(t);
  await (await openProcess(t, options)).stop();
  const self = (await processOf(process.pid))!;
  writeFileSync(join(options.directory, 'pid'), `${self.pid} ${self.startTicks}\n`);
  const etcd = await openProcess(t, options);
  t.not(etcd.pid, process.pid);
  await put(etcd, '/a');
  await etcd.stop();
  t.ok(await isRunning(self));
});

test('a member that died is started again, and has what it had', async (t) => {
  const options = await optionsFor(t);
  const etcd = await openProcess(t, options);
  const first = etcd.pid!;
  const revision = await put(etcd, '/a');
  process.kill(first, 'SIGKILL');
  await until('another one', () => etcd.pid !== null && etcd.pid !== first);
  track(etcd.pid!);
  t.is(await put(etcd, '/b'), revision + 1);
  t.is(options.said.length, 1);
  t.ok(/has ended/.test(options.said[0]!), options.said[0]);
  await etcd.stop();
});

test('one that cannot start is started ever less often, and says why', async (t) => {
  const options = await optionsFor(t);
  options.member.tls.certFile = '/nowhere';
  const etcd = await openProcess(t, options);
  await until('three starts', () => options.said.length >= 3, 20_000);
  const pauses = options.said.map((message) => Number(/in (\d+) ms/.exec(message)?.[1]));
  t.alike(pauses.slice(0, 3), [500, 1000, 2000]);
  t.ok(options.said[0]!.includes('/nowhere'), 'its own words are told');
  await etcd.stop();
});

test('a member that runs with other options is started again with the right ones', async (t) => {
  const options = await optionsFor(t);
  const before = await openProcess(t, options);
  const revision = await put(before, '/a');
  await before.release();
  const [client] = await freePorts(1);
  const clientUrl = `https://127.0.0.1:${client}`;
  const after = await openProcess(t, { ...options, member: { ...options.member, clientUrl } });
  t.not(after.pid, before.pid);
  t.is(await put(after, '/b'), revision + 1);
  await after.stop();
});

test('wiping ends it and leaves nothing of what it stored', async (t) => {
  const options = await optionsFor(t);
  const before = await openProcess(t, options);
  const revision = await put(before, '/a');
  const { pid } = before;
  await before.release();
  await wipeEtcd(options.directory);
  await wipeEtcd(options.directory);
  t.is(await processOf(pid!), null);
  t.absent(existsSync(join(options.directory, 'data')));
  const after = await openProcess(t, options);
  t.is(await put(after, '/a'), revision, 'it begins anew');
  await after.stop();
});

test('without the program, the package to install is named', async (t) => {
  try {
    await etcdVersion('etcd-that-is-not-there');
    t.fail('it was found');
  } catch (error) {
    t.is((error as { code?: string }).code, 'NOT_INSTALLED');
    t.ok(/etcd-server/.test((error as Error).message), (error as Error).message);
  }
  t.ok(/^3\.\d+/.test(await etcdVersion()));
});

test('a log keeps to its size', async (t) => {
  const path = join(await temporaryDirectory(t), 'log');
  await trimLog(path);
  for (let i = 0; i < 3; i++) {
    appendFileSync(path, Buffer.alloc(LOG_BYTES_MAX, `${i}\n`));
    await trimLog(path);
    t.is(statSync(path).size, LOG_BYTES_MAX, 'not before it is too long');
    appendFileSync(path, 'last');
    await trimLog(path);
    t.is(statSync(path).size, 0);
    t.is(statSync(`${path}.1`).size, LOG_BYTES_MAX + 4);
  }
});
