import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Assertions, test } from 'brittle';
import { type Coordination, CoordinationError, type Operation } from '../lib/coordination/coordination.js';
import { openEtcd } from '../lib/coordination/etcd.js';
import type { EtcdMemberOptions } from '../lib/coordination/etcd-arguments.js';
import { EtcdProcess, wipeEtcd } from '../lib/coordination/etcd-process.js';
import { FreezableCoordination } from '../lib/coordination/freezable-coordination.js';
import { openLocal } from '../lib/coordination/local.js';
import { COMPLETE_KEY, moveToEtcd, whereStoreIs } from '../lib/coordination/move-to-etcd.js';
import { testCertificates } from './helpers/certificates.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { bytes, text } from './helpers/coordination-suite.js';
import { freePorts, startEtcd } from './helpers/etcd.js';
import { until } from './helpers/until.js';

const MOVER = fileURLToPath(new URL('./helpers/mover.js', import.meta.url));
const put = (key: string, value: string): Operation => ({ put: key, value: bytes(value) });

/** More keys than one transaction takes, more bytes than one takes, and what is not to be taken along. */
async function fill(store: Coordination): Promise<void> {
  for (let at = 0; at < 250; at += 50) {
    await store.transaction({ success: Array.from({ length: 50 }, (_, i) => put(`/vdi/${at + i}`, `${at + i}`)) });
  }
  const large = new Uint8Array(1024 * 1024).fill(7);
  await store.transaction({
    success: [{ put: '/map', value: large }, { put: '/map2', value: large }, put('/empty', '')],
  });
  await store.transaction({ success: [put('/alive/1', 'x'), put('/conductor', 'x')] });
}

async function contentOf(store: Coordination): Promise<Record<string, string>> {
  const found = await store.range('');
  return Object.fromEntries(
    found.map(({ key, value }) => [key, value.length > 100 ? `${value.length}` : text(value)!]),
  );
}

function expected(): Record<string, string> {
  const vdis = Array.from({ length: 250 }, (_, i) => [`/vdi/${i}`, `${i}`]);
  return { ...Object.fromEntries(vdis), '/map': '1048576', '/map2': '1048576', '/empty': '' };
}

interface Places {
  localDirectory: string;
  etcdDirectory: string;
  member: EtcdMemberOptions;
}

async function placesFor(t: Assertions): Promise<Places> {
  const root = await temporaryDirectory(t);
  const [peer, client] = await freePorts(2);
  const peerUrl = `https://127.0.0.1:${peer}`;
  const etcdDirectory = join(root, 'etcd');
  t.teardown(() => wipeEtcd(etcdDirectory), { order: 500, force: true });
  const member: EtcdMemberOptions = {
    name: 'one',
    peerUrl,
    clientUrl: `https://127.0.0.1:${client}`,
    initialCluster: { one: peerUrl },
    initialState: 'new',
    token: root,
    tls: testCertificates(root),
  };
  return { localDirectory: join(root, 'local'), etcdDirectory, member };
}

/** Answers what it printed; it may have been killed. */
async function move(places: Places, step: number | 'all', side: string): Promise<string> {
  const args = [MOVER, JSON.stringify(places), String(step === 'all' ? Number.POSITIVE_INFINITY : step), side];
  const mover = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  mover.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await once(mover, 'close');
  return output;
}

/** What a start finds, by whichever engine counts. */
async function startAgain(places: Places): Promise<{ where: string; content: Record<string, string> }> {
  const where = await whereStoreIs(places.localDirectory, places.etcdDirectory);
  if (where === 'local') {
    const store = await openLocal(places.localDirectory);
    const content = await contentOf(store);
    await store.close();
    return { where, content };
  }
  const etcd = await EtcdProcess.open({ directory: places.etcdDirectory, member: places.member, say: () => {} });
  const store = await until('etcd', () => openEtcd({ endpoints: [etcd.socketUrl] }).catch(() => null), 20_000);
  const content = await contentOf(store);
  await store.close();
  await etcd.release();
  return { where, content };
}

test('killed at any step of the move, one engine has all', { timeout: 300_000 }, async (t) => {
  const places = await placesFor(t);
  const store = await openLocal(places.localDirectory);
  await fill(store);
  await store.close();
  // Of the attempt before, each one has to find what that has left.
  const steps = 7;
  for (let step = 0; step < steps; step++) {
    for (const side of ['before', 'after']) {
      t.is(await move(places, step, side), '', `killed ${side} step ${step}`);
      const { where, content } = await startAgain(places);
      t.is(where, 'local');
      t.alike(content, expected());
      t.absent(existsSync(join(places.etcdDirectory, 'data')), 'nothing of etcd is left');
    }
  }
  t.is(await move(places, steps, 'end'), '', 'killed when it has moved');
  const { where, content } = await startAgain(places);
  t.is(where, 'etcd');
  t.alike(content, { ...expected(), [COMPLETE_KEY]: '{}' });
});

test('a move that goes through has all in etcd, for good', async (t) => {
  const places = await placesFor(t);
  const store = await openLocal(places.localDirectory);
  await fill(store);
  await store.close();
  t.ok((await move(places, 'all', '')).startsWith('moved'));
  for (let i = 0; i < 2; i++) {
    const { where, content } = await startAgain(places);
    t.is(where, 'etcd');
    t.alike(content, { ...expected(), [COMPLETE_KEY]: '{}' });
  }
});

/** A local store, frozen or not, and an etcd, in this process. */
async function inProcess(t: Assertions) {
  const root = await temporaryDirectory(t);
  const localDirectory = join(root, 'local');
  const local = new FreezableCoordination(await openLocal(localDirectory));
  t.teardown(() => local.close(), { order: 0 });
  const server = await startEtcd(t);
  const etcd = await server.open(t);
  return { local, localDirectory, etcd, etcdDirectory: join(root, 'etcd'), server };
}

test('while it moves and afterwards, the local engine answers nobody', async (t) => {
  const { local, localDirectory, etcd } = await inProcess(t);
  await fill(local);
  const under = local.transaction({ success: [put('/under/way', 'x')] });
  const moving = moveToEtcd({ local, localDirectory, etcd });
  const refused = async () => {
    for (const ask of [
      () => local.get('/map'),
      () => local.range('/'),
      () => local.revision(),
      () => local.transaction({ success: [put('/late', 'x')] }),
    ]) {
      await ask().then(
        () => t.fail('it answered'),
        (error) => t.is(error.code, 'UNAVAILABLE'),
      );
    }
  };
  await refused();
  await Promise.all([under, moving]);
  await refused();
  t.is(text((await etcd.get('/under/way'))?.value), 'x', 'what was under way is taken along');
  t.is(await etcd.get('/late'), null);
});

test('a move that fails leaves the local engine as it was', async (t) => {
  const { local, localDirectory, etcd, etcdDirectory } = await inProcess(t);
  await fill(local);
  let transactions = 0;
  const failing: Coordination = {
    ...{ get: (key) => etcd.get(key), range: (prefix) => etcd.range(prefix), revision: () => etcd.revision() },
    ...{ watch: (prefix, listener) => etcd.watch(prefix, listener), close: () => etcd.close() },
    transaction: async (transaction) => {
      if (++transactions === 4) throw new CoordinationError('UNAVAILABLE', 'it is gone');
      return etcd.transaction(transaction);
    },
  };
  await moveToEtcd({ local, localDirectory, etcd: failing }).then(
    () => t.fail('it succeeded'),
    (error) => t.is(error.code, 'UNAVAILABLE'),
  );
  await local.transaction({ success: [put('/later', 'x')] });
  t.is(await whereStoreIs(localDirectory, etcdDirectory), 'local');
  // Once more, into the same etcd, which has a part.
  await local.transaction({ success: [{ delete: '/vdi/0' }] });
  await moveToEtcd({ local, localDirectory, etcd });
  const { '/vdi/0': _, ...rest } = expected();
  t.alike(await contentOf(etcd), { ...rest, '/later': 'x', [COMPLETE_KEY]: '{}' });
  t.is(await whereStoreIs(localDirectory, etcdDirectory), 'etcd');
});

test('an etcd that has a cluster’s store is left alone', async (t) => {
  const { local, localDirectory, etcd, etcdDirectory } = await inProcess(t);
  await etcd.transaction({ success: [put(COMPLETE_KEY, '{}'), put('/map', 'theirs')] });
  await moveToEtcd({ local, localDirectory, etcd }).then(
    () => t.fail('it was overwritten'),
    (error) => t.is(error.code, 'WRONG_FORMAT'),
  );
  t.is(text((await etcd.get('/map'))?.value), 'theirs');
  await local.transaction({ success: [put('/later', 'x')] });
  t.is(await whereStoreIs(localDirectory, etcdDirectory), 'local');
});

test('without the mark, what is left of etcd is deleted; with it, nothing is', async (t) => {
  const root = await temporaryDirectory(t);
  const [localDirectory, etcdDirectory] = [join(root, 'local'), join(root, 'etcd')];
  t.is(await whereStoreIs(localDirectory, etcdDirectory), 'local', 'a host that is new');
  mkdirSync(join(etcdDirectory, 'data', 'member'), { recursive: true });
  t.is(await whereStoreIs(localDirectory, etcdDirectory), 'local');
  t.absent(existsSync(join(etcdDirectory, 'data')));
});
