import { test } from 'brittle';
import { hostKey } from '../lib/cluster/host-record.js';
import { decodeHostRecord } from '../lib/cluster/host-records.js';
import { registerHost } from '../lib/cluster/register-host.js';
import { Random } from './helpers/random.js';
import { SimulatedStore } from './simulation/coordination-store.js';
import { ProcessScope } from './simulation/process-scope.js';
import { Scheduler } from './simulation/scheduler.js';

const SELF = { id: 'a', name: 'a', zone: 'a', publicKey: '', addresses: [] };

function registry() {
  const scheduler = new Scheduler();
  const random = new Random(1);
  const store = new SimulatedStore(scheduler, random);
  const client = store.client('a', new ProcessScope(scheduler, random, 'a'));
  const register = (incarnation: number, opens: number) =>
    scheduler.settle(registerHost(client, SELF, incarnation, [{ number: 1, weight: 5, opens }]));
  return { register, recorded: () => decodeHostRecord(store.peek(hostKey('a'))!.value).disks[0]! };
}

test('each open of a disk is on record with the incarnation that opened it', async (t) => {
  const { register, recorded } = registry();
  await register(1, 1);
  t.alike(recorded(), { number: 1, weight: 5, standing: 'in', opens: 1, openedBy: 1 });
  await register(2, 2);
  t.alike(recorded(), { number: 1, weight: 5, standing: 'in', opens: 2, openedBy: 2 });
  await register(2, 2);
  t.is(recorded().opens, 2, 'told twice');
});

test('an old image of a disk shows a lower count than is on record, also where it was opened as often', async (t) => {
  const { register, recorded } = registry();
  for (const incarnation of [1, 2, 3]) await register(incarnation, incarnation);
  // An image of when it had been opened twice, opened once more: what incarnation 3 said of the disk itself.
  await register(4, 3);
  t.ok(recorded().opens > 3);
});
