import { test } from 'brittle';
import { after, onThreeHosts } from './helpers/three-hosts.js';
import { recordOf } from './simulation/admin-faults.js';

test('a disk that opens while its host is being registered is registered too', async (t) => {
  await onThreeHosts(async (world) => {
    const host = world.hosts[0]!;
    const [early, late] = host.disks.slots;
    host.kill();
    const { opens } = late!;
    host.disks.trouble(late!, 'hang', 1, opens);
    world.store.setReachable(host.id, false);
    host.start();
    await after(world, 4000);
    t.absent(host.run, 'it is being registered');
    t.is(late!.opens, opens, 'the disk is not open yet');
    host.disks.mend(1);
    await after(world, 1000);
    t.absent(host.run);
    t.is(late!.opens, opens + 1);
    world.store.setReachable(host.id, true);
    await after(world, 60_000);
    t.is(world.unhealthy, null);
    const recorded = new Map(recordOf(world, host.id)!.disks.map(({ number, opens }) => [number, opens]));
    for (const slot of [early!, late!]) t.is(recorded.get(slot.number), slot.opens);
  });
});

test('a cluster is not well before it knows that a host which was removed is gone', async (t) => {
  await onThreeHosts(async (world) => {
    const host = world.hosts[2]!;
    world.removeHost(host);
    t.is(world.unhealthy, `${host.id} is up, though it was removed`);
    await after(world, 10_000);
    t.absent(world.map.hosts[host.id]?.up);
    t.ok(world.unhealthy?.startsWith('group'), 'which leaves groups that are not whole');
  });
});
