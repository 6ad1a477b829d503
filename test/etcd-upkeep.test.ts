import { test } from 'brittle';
import { openEtcdAdministration } from '../lib/coordination/etcd-administration.js';
import { EtcdUpkeep } from '../lib/coordination/etcd-upkeep.js';
import { startEtcd } from './helpers/etcd.js';
import { until } from './helpers/until.js';

const MIB = 1024 * 1024;
const QUOTA_BYTES = 40 * MIB;

test('etcd that has run out of space is given some, and takes changes again', async (t) => {
  const etcd = await startEtcd(t, 3, [`--quota-backend-bytes=${QUOTA_BYTES}`]);
  const store = await etcd.open(t, { timeoutMs: 10_000 });
  const put = () => store.transaction({ success: [{ put: '/large', value: new Uint8Array(MIB) }] });
  const said: string[] = [];
  const administration = openEtcdAdministration({
    endpoints: etcd.members.map(({ url }) => url),
    tls: etcd.certificates.pem,
  });
  t.teardown(() => administration.close(), { order: -1 });
  const upkeeps = etcd.members.map(
    ({ name }) =>
      new EtcdUpkeep({ administration, name, quotaBytes: QUOTA_BYTES, say: (message) => said.push(message) }),
  );
  t.teardown(() => Promise.all(upkeeps.map((upkeep) => upkeep.close())), { order: -2 });

  await put();
  for (const upkeep of upkeeps) await upkeep.check();
  t.alike(said, [], 'with space, there is nothing to do');

  let refused: unknown = null;
  for (let i = 0; i < 2 * (QUOTA_BYTES / MIB) && !refused; i++) {
    await put().catch((error) => {
      refused = error;
    });
  }
  t.is((refused as { code?: string } | null)?.code, 'UNAVAILABLE', (refused as Error).message);
  t.ok(await administration.isOutOfSpace());
  await etcd.raw(t).kv.compact({ revision: String(await store.revision()), physical: true });
  // One after another: only the one with most to give back does so.
  for (let round = 0; round < 6 && (await administration.isOutOfSpace()); round++) {
    for (const upkeep of upkeeps) await upkeep.check();
  }
  t.absent(await administration.isOutOfSpace());
  t.is(said.filter((message) => /gave space back/.test(message)).length, 3, 'each gave its space back once');
  await put();
  t.pass('changes are taken again');
});

test('a database that is mostly unused gives space back, one member after another, while all answer', async (t) => {
  const etcd = await startEtcd(t, 3);
  const store = await etcd.open(t, { timeoutMs: 10_000 });
  const said: string[] = [];
  const administration = openEtcdAdministration({
    endpoints: etcd.members.map(({ url }) => url),
    tls: etcd.certificates.pem,
  });
  t.teardown(() => administration.close(), { order: -1 });
  const upkeeps = etcd.members.map(({ name }) => {
    const say = (message: string) => said.push(`${name}: ${message}`);
    return new EtcdUpkeep({ administration, name, quotaBytes: 1024 * MIB, defragmentBytesMin: 8 * MIB, say });
  });
  t.teardown(() => Promise.all(upkeeps.map((upkeep) => upkeep.close())), { order: -2 });
  const large = { put: '/large', value: new Uint8Array(MIB) };
  for (let i = 0; i < 24; i++) await store.transaction({ success: [large] });
  const sizes = async () => {
    const statuses = await Promise.all(etcd.members.map(({ url }) => administration.status(url)));
    return statuses.map(({ databaseBytes, usedBytes }) => ({ databaseBytes, usedBytes }));
  };
  await etcd.raw(t).kv.compact({ revision: String(await store.revision()), physical: true });
  await until('space to be free', async () => {
    await store.transaction({ success: [{ put: '/small', value: new Uint8Array(1) }] });
    return (await sizes()).every(({ databaseBytes, usedBytes }) => usedBytes < databaseBytes / 2);
  });
  const silent = etcd.members[2]!;
  await silent.kill();
  for (const upkeep of upkeeps) await upkeep.check();
  t.alike(said, [], 'not while one is silent');
  silent.start();
  await until('it to answer', () =>
    administration.status(silent.url).then(
      ({ leader }) => leader !== '0',
      () => false,
    ),
  );
  for (let round = 1; round <= 3; round++) for (const upkeep of upkeeps) await upkeep.check();
  t.is(new Set(said.map((message) => message.split(':')[0])).size, 3, said.join('\n'));
  t.is(said.length, 3, 'once each');
  t.ok((await sizes()).every(({ databaseBytes }) => databaseBytes < 8 * MIB));
  t.is((await store.get('/large'))?.value.byteLength, MIB);
});
