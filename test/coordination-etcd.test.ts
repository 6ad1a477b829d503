import { test } from 'brittle';
import { coordinationSuite } from './helpers/coordination-suite.js';
import { startEtcd, type TestEtcd } from './helpers/etcd.js';
import { Scope } from './helpers/scope.js';

const shared = new Scope();
let etcd: TestEtcd;
let stores = 0;

test('etcd: starts', async (t) => {
  etcd = await startEtcd(shared);
  t.pass();
});

coordinationSuite('etcd over TLS', (t) => etcd.open(t, { namespace: `suite-${stores++}` }));

coordinationSuite('etcd over its socket', (t) => {
  return etcd.open(t, { endpoints: [etcd.members[0]!.socketUrl], namespace: `suite-${stores++}` });
});

test('etcd: ends', async (t) => {
  await shared.end();
  t.pass();
});
