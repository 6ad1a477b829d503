import { test } from 'brittle';
import { openEtcdAdministration } from '../lib/coordination/etcd-administration.js';
import { EtcdUpkeep } from '../lib/coordination/etcd-upkeep.js';
import { startEtcd } from './helpers/etcd.js';

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
