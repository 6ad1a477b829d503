import { test } from 'brittle';
import { OBJECT_BYTES, type Objects } from '../lib/replication/object-io.js';
import { after, onThreeHosts } from './helpers/three-hosts.js';
import { Checkers } from './simulation/checkers.js';
import { ImageModel, WriteNumbers } from './simulation/image-model.js';
import { SimulatedImage } from './simulation/simulated-image.js';
import type { World } from './simulation/world.js';

/** The disks of a host take so long to merge a layer. */
function slowDown(world: World, replica: Objects, ms: number): void {
  const value = replica.layerDisks.map((disk) => ({
    number: disk.number,
    deleteLayer: (...parameters: Parameters<typeof disk.deleteLayer>) => disk.deleteLayer(...parameters),
    mergeLayer: async (...parameters: Parameters<typeof disk.mergeLayer>) => {
      await after(world, ms);
      await disk.mergeLayer(...parameters);
    },
  }));
  Object.defineProperty(replica, 'layerDisks', { value });
}

test('copies that have still to merge a layer may end elsewhere', async (t) => {
  await onThreeHosts(async (world) => {
    const { vdis } = world.hosts[0]!.run!;
    const { id } = await vdis.create('a', { size: 2 * OBJECT_BYTES, mode: 0o600, uid: 0, gid: 0, copies: 2 });
    const here = await vdis.load(id);
    const model = new ImageModel(new WriteNumbers());
    const image = new SimulatedImage(world, { vdi: id, name: 'a', copies: 2, indexes: 2, model });
    const [disk] = world.map.tables[2]![image.pgOf(1)]!.acting;
    const host = world.hosts.find((each) => each.id === world.map.disks[disk!]!.host);
    slowDown(world, host!.run!.cluster.replica, 20_000);
    await here.write(OBJECT_BYTES, Buffer.alloc(4096, 1));
    await vdis.snapshot('a', 'monday');
    await here.write(0, Buffer.alloc(4096, 2));
    await vdis.deleteSnapshot('a', 'monday');
    await after(world, 1000);
    await new Checkers(world, { images: [image] }).check();
    t.is(image.family.merging.length, 0);
  });
});

test('a copy that has still active what others have retired is no different for that', async (t) => {
  await onThreeHosts(async (world) => {
    const run = world.hosts[0]!.run!;
    const { id } = await run.vdis.create('a', { size: OBJECT_BYTES, mode: 0o600, uid: 0, gid: 0, copies: 2 });
    const model = new ImageModel(new WriteNumbers());
    const image = new SimulatedImage(world, { vdi: id, name: 'a', copies: 2, indexes: 1, model });
    await image.on(run);
    const { family, layers } = image.chain;
    const { layer } = layers[0]!;
    const [number] = world.map.tables[2]![image.pgOf(0)]!.acting;
    const disk = world.hosts.flatMap((host) => host.run!.disks).find((each) => each.number === number)!;
    await disk.index.commit(() => {
      const order = { vdi: id, generation: 1, sequence: 0 };
      disk.activity.record(disk.layer(family, layer), 0, world.map.epoch, order);
    });
    await new Checkers(world, { images: [image] }).check();
    t.ok(disk.index.isActive(family, 0, layer));
  });
});
