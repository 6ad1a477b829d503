/**
 * Moves a local store to an etcd that it starts, and kills itself on the way: before its n-th step, or after it together
 * with etcd. Prints `moved` when it was not to be killed before that. Arguments: options as JSON, n, `before` or `after`.
 */
import { join } from 'node:path';
import type { Coordination, Transaction } from '../../lib/coordination/coordination.js';
import { openEtcd } from '../../lib/coordination/etcd.js';
import { EtcdProcess } from '../../lib/coordination/etcd-process.js';
import { FreezableCoordination } from '../../lib/coordination/freezable-coordination.js';
import { openLocal } from '../../lib/coordination/local.js';
import { moveToEtcd, whereStoreIs } from '../../lib/coordination/move-to-etcd.js';
import { until } from './until.js';

const { localDirectory, etcdDirectory, member } = JSON.parse(process.argv[2]!);
const [step, side] = [Number(process.argv[3]), process.argv[4]];
let steps = 0;
let etcd: EtcdProcess;

/** With etcd, or with that left running. */
function die(): never {
  if (side !== 'before') process.kill(etcd.pid!, 'SIGKILL');
  process.kill(process.pid, 'SIGKILL');
  throw new Error('unreachable');
}

async function counted<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  const isLast = steps++ === step;
  if (isLast && side === 'before') die();
  const answer = await work();
  if (isLast) die();
  return answer;
}

if ((await whereStoreIs(localDirectory, etcdDirectory)) !== 'local') throw new Error('it has moved already');
const local = new FreezableCoordination(await openLocal(localDirectory));
etcd = await EtcdProcess.open({ directory: etcdDirectory, member, say: (message) => console.error(message) });
const store = await until('etcd', () => openEtcd({ endpoints: [etcd.socketUrl] }).catch(() => null));
const counting: Coordination = {
  get: (key) => store.get(key),
  range: (prefix) => store.range(prefix),
  revision: () => store.revision(),
  watch: (prefix, listener) => store.watch(prefix, listener),
  close: () => store.close(),
  transaction: (transaction: Transaction) => counted(() => store.transaction(transaction)),
};
await moveToEtcd({ local, localDirectory, etcd: counting });
if (step !== Number.POSITIVE_INFINITY && side === 'end') die();
process.stdout.write(`moved ${steps} ${join(localDirectory)}\n`, () => process.exit(0));
