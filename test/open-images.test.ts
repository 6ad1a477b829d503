/** An image that was removed keeps its data while a host has it open. */
import { type Assertions, test } from 'brittle';
import { HostClock } from '../lib/cluster/host-clock.js';
import { hostKey } from '../lib/cluster/host-record.js';
import { encodeHostRecord } from '../lib/cluster/host-records.js';
import type { Coordination } from '../lib/coordination/coordination.js';
import { openLocal } from '../lib/coordination/local.js';
import { OpenImages } from '../lib/vdi/open-images.js';
import { encodeRecord, KEY } from '../lib/vdi/records.js';
import { temporaryDirectory } from './helpers/cleanup.js';

const VDI = 17;

/** Two hosts of one store, and which images each has open. */
async function hosts(t: Assertions) {
  const coordination = await openLocal(await temporaryDirectory(t));
  t.teardown(() => coordination.close(), { order: 1 });
  await coordination.transaction({ success: [{ put: KEY.vdi(VDI), value: encodeRecord({}) }] });
  const open = { a: new Set<number>(), b: new Set<number>() };
  await register(coordination, 'a', false);
  await register(coordination, 'b', false);
  const clock = new HostClock();
  const make = (host: 'a' | 'b') => {
    return new OpenImages({ coordination, clock, host, isOpen: (vdi) => open[host].has(vdi) });
  };
  return { coordination, open, a: make('a'), b: make('b'), make };
}

async function register(coordination: Coordination, id: string, banned: boolean): Promise<void> {
  const record = { id, name: id, zone: id, standing: 'in' as const, disks: [], publicKey: '', addresses: [] };
  const value = encodeHostRecord({ ...record, banned, bannedDisks: [] });
  await coordination.transaction({ success: [{ put: hostKey(id), value }] });
}

test('an image is closed elsewhere when no other host has it open', async (t) => {
  const { a, b, open } = await hosts(t);
  t.ok(await a.closedElsewhere(VDI), 'nobody has it');
  open.b.add(VDI);
  await b.opened(VDI);
  t.is(await a.closedElsewhere(VDI), null, 'the other one has it');
  t.ok(await b.closedElsewhere(VDI), 'its own handles do not count');
  await b.closed(VDI);
  t.is(await a.closedElsewhere(VDI), null, 'another handle is open there');
  open.b.delete(VDI);
  await b.closed(VDI);
  t.ok(await a.closedElsewhere(VDI));
});

test('what is compared fails once another host has opened the image', async (t) => {
  const { a, b, coordination, open } = await hosts(t);
  const compare = await a.closedElsewhere(VDI);
  open.b.add(VDI);
  await b.opened(VDI);
  const removal = await coordination.transaction({ compare: [compare!], success: [{ delete: KEY.vdi(VDI) }] });
  t.absent(removal.succeeded);
});

test('an image that is gone cannot be opened', async (t) => {
  const { a, coordination } = await hosts(t);
  await coordination.transaction({ success: [{ delete: KEY.vdi(VDI) }] });
  await t.exception(a.opened(VDI), /gone/);
});

test('a host that starts anew tells only what is open still', async (t) => {
  const { a, b, make, open } = await hosts(t);
  open.b.add(VDI);
  await b.opened(VDI);
  await make('b').start();
  t.is(await a.closedElsewhere(VDI), null, 'its guests have it open');
  open.b.delete(VDI);
  await make('b').start();
  t.ok(await a.closedElsewhere(VDI), 'its mount is another one');
});

test('a host that was given up has nothing open', async (t) => {
  const { a, b, coordination, open } = await hosts(t);
  open.b.add(VDI);
  await b.opened(VDI);
  await register(coordination, 'b', true);
  t.ok(await a.closedElsewhere(VDI));
});
