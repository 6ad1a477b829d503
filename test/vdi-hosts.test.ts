import { test } from 'brittle';
import { type Coordination, CoordinationError } from '../lib/coordination/coordination.js';
import type { Reply } from '../lib/replication/messages.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import type { ReplicatedImage } from '../lib/replication/replicated-image.js';
import { decodeWriter, encodeWriter, NO_WRITER, writerKey } from '../lib/replication/writer-record.js';
import { WriterStore } from '../lib/replication/writer-store.js';
import type { Vdi } from '../lib/vdi/vdi.js';
import { after, onThreeHosts } from './helpers/three-hosts.js';
import type { SimulatedHost } from './simulation/simulated-host.js';
import type { World } from './simulation/world.js';

const OWNER = { mode: 0o600, uid: 0, gid: 0, copies: 2 };
const KIB = 1024;

async function openAll({ hosts }: World, name: string, size = 0): Promise<Vdi[]> {
  const { id } = await hosts[0]!.run!.vdis.create(name, { size, ...OWNER });
  return Promise.all(hosts.map(({ run }) => run!.vdis.load(id)));
}

async function contents(vdi: Vdi, offset: number, length: number): Promise<Buffer> {
  const target = Buffer.alloc(length, 0xee);
  return target.subarray(0, await vdi.read(offset, target));
}

/** The next transaction is carried out at once, and answered when what this answers is called. */
function delayAnswer(coordination: Coordination): () => void {
  const carryOut = coordination.transaction.bind(coordination);
  let answer = () => {};
  coordination.transaction = async (transaction) => {
    coordination.transaction = carryOut;
    const result = await carryOut(transaction);
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return result;
  };
  return () => answer();
}

const codeOf = (error: { code?: string }) => error.code;

const filled = (length: number, byte: number) => Buffer.alloc(length, byte);

/** Has the host be away for so long, when something is looked for in the image, that it comes back with another incarnation. */
function away(world: World, host: SimulatedHost, { objects }: Vdi): void {
  const next = objects.next.bind(objects);
  objects.next = async (...parameters) => {
    objects.next = next;
    host.pauseFor(20_000);
    await after(world, 40_000);
    return next(...parameters);
  };
}

test('what one host makes longer is as long on the others, at once', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there, elsewhere] = (await openAll(world, 'a')) as [Vdi, Vdi, Vdi];
    await here.write(6000, filled(3000, 1));
    t.is((await there.current()).size, 9000, 'its writer is asked');
    t.alike(await contents(elsewhere, 6000, 8000), filled(3000, 1));
    await there.write(9000, filled(1000, 2));
    t.is((await here.current()).size, 10_000, 'also when another one writes');
    t.is((await elsewhere.current()).size, 10_000);
  });
});

test('the size that a dead writer had reached is found from what it wrote', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there] = (await openAll(world, 'a')) as [Vdi, Vdi];
    await here.write(OBJECT_BYTES + 100, filled(50, 1));
    world.hosts[0]!.kill();
    t.is((await there.current()).size, OBJECT_BYTES + 150);
  });
});

test('a role is given to nobody before its taker knows the size', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there, elsewhere] = (await openAll(world, 'a')) as [Vdi, Vdi, Vdi];
    await here.write(3 * OBJECT_BYTES, filled(100, 1));
    world.hosts[0]!.kill();
    // As when a group has stopped again that could be asked by the fence.
    const acquired = there.acquired.bind(there);
    there.acquired = async (role) => {
      await after(world, 60_000);
      await acquired(role);
    };
    const written = there.write(0, filled(50, 2));
    await after(world, 20_000);
    await Promise.all([written, elsewhere.write(50, filled(20, 3))]);
    t.is((await elsewhere.current()).size, 3 * OBJECT_BYTES + 100);
    t.is((await there.current()).size, 3 * OBJECT_BYTES + 100);
  });
});

test('a role that is lost before the size is found is taken anew', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there] = (await openAll(world, 'a')) as [Vdi, Vdi];
    await here.write(3 * OBJECT_BYTES, filled(100, 1));
    world.hosts[0]!.kill();
    const acquired = there.acquired.bind(there);
    there.acquired = (role) => {
      const equalized = async () => {
        const isHeld = await role.equalized();
        await after(world, 60_000);
        return isHeld;
      };
      return acquired({ ...role, equalized });
    };
    const written = there.write(0, filled(50, 2));
    await after(world, 20_000);
    // The map takes it for down, and it has another incarnation when it goes on.
    world.hosts[1]!.pauseFor(20_000);
    await written;
    t.is((await there.current()).size, 3 * OBJECT_BYTES + 100);
  });
});

test('who finds that it holds an image no more, from a store that does not answer then, has guests wait', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second] = world.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
    const [here] = (await openAll(world, 'a')) as [Vdi];
    const writers = new WriterStore(second.run!.coordination, here.vdi);
    const { catalog } = first.run!.vdis;
    const updateHeld = catalog.updateHeld.bind(catalog);
    catalog.updateHeld = async (...args) => {
      const { record, revision } = await writers.read();
      const isLost = await writers.replace({ ...record, generation: record.generation + 1, holder: null }, revision);
      const held = await updateHeld(...args);
      catalog.updateHeld = updateHeld;
      t.ok(isLost && held === null, 'somebody else has had it since');
      world.store.setReachable(first.id, false);
      world.scheduler.after(6000, () => world.store.setReachable(first.id, true));
      return held;
    };
    await here.write(0, filled(4 * KIB, 1));
    t.alike(await contents(here, 0, 4 * KIB), filled(4 * KIB, 1));
  });
});

test('what is cut off on one host is gone on the others, and never comes back', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there] = (await openAll(world, 'a')) as [Vdi, Vdi];
    await here.write(0, filled(2 * OBJECT_BYTES, 1));
    await there.resize(OBJECT_BYTES + 4 * KIB);
    t.is((await here.current()).size, OBJECT_BYTES + 4 * KIB);
    await here.resize(3 * OBJECT_BYTES);
    t.alike(await contents(there, OBJECT_BYTES, 8 * KIB), Buffer.concat([filled(4 * KIB, 1), filled(4 * KIB, 0)]));
    t.alike(await contents(there, 2 * OBJECT_BYTES - 4, 8), filled(8, 0));
  });
});

test('a dead handle answers EIO beyond the end as well', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there] = (await openAll(world, 'a')) as [Vdi, Vdi];
    const opened = here.generation();
    await here.write(0, filled(100, 1), opened);
    world.hosts[0]!.pauseFor(20_000);
    await there.write(0, filled(50, 2));
    await after(world, 30_000);
    const target = Buffer.alloc(100);
    await t.exception(here.read(0, target, opened), /taken over/);
    await t.exception(here.read(OBJECT_BYTES, target, opened), /taken over/);
    await t.exception(here.seek(OBJECT_BYTES, 0, opened), /taken over/);
    await t.exception(here.discard(OBJECT_BYTES, 100, opened), /taken over/);
    t.is(await here.read(OBJECT_BYTES, target, here.generation()), 0);
  });
});

test('a snapshot is the same on every host, and what it is rolled back to', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second, third] = world.hosts.map(({ run }) => run!.vdis);
    const [here, there] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi, Vdi];
    await here.write(0, filled(8 * KIB, 1));
    const { id } = await second!.snapshot('a', 'monday');
    await here.write(0, filled(4 * KIB, 2));
    await here.resize(2 * OBJECT_BYTES);
    const taken = await third!.load(id);
    t.alike(await contents(taken, 0, 8 * KIB), filled(8 * KIB, 1), 'it shows what was there');
    t.alike(await contents(there, 0, 8 * KIB), Buffer.concat([filled(4 * KIB, 2), filled(4 * KIB, 1)]));
    await t.exception(third!.snapshot('a', 'monday'), /has a snapshot monday already/);
    await t.exception(first!.unlink('a'), /has snapshots/);
    await third!.rollBack('a', 'monday');
    t.is((await here.current()).size, OBJECT_BYTES);
    t.alike(await contents(here, 0, 8 * KIB), filled(8 * KIB, 1));
    await there.write(4 * KIB, filled(4 * KIB, 3));
    t.alike(await contents(taken, 0, 8 * KIB), filled(8 * KIB, 1), 'the snapshot stays as it was');
    await t.exception(first!.rollBack('a', 'tuesday'), /no snapshot tuesday/);
  });
});

test('a snapshot waits for what a group has that has stopped', async (t) => {
  await onThreeHosts(async (world) => {
    const [here] = (await openAll(world, 'a', 8 * OBJECT_BYTES)) as [Vdi];
    // Nothing that the host which is left knows of.
    const groups = world.map.tables[2]!;
    const isElsewhere = (index: number) => {
      const { acting } = groups[world.placement.pgOf(here.record.family, index)]!;
      return acting.every((disk) => world.map.disks[disk]!.host !== world.hosts[2]!.id);
    };
    const index = [...Array(8).keys()].find(isElsewhere)!;
    await here.write(index * OBJECT_BYTES, filled(8 * KIB, 1));
    const { vdis } = world.hosts[2]!.run!;
    world.hosts[0]!.kill();
    world.hosts[1]!.kill();
    let isDone = false;
    const taken = vdis.snapshot('a', 'monday').then(({ id }) => {
      isDone = true;
      return id;
    });
    await after(world, 60_000);
    t.is(isDone, false, 'what was not flushed there may be lost yet');
    world.hosts[0]!.start();
    world.hosts[1]!.start();
    t.alike(await contents(await vdis.load(await taken), index * OBJECT_BYTES, 8 * KIB), filled(8 * KIB, 1));
  });
});

test('a clone of a snapshot goes its own way, and outlives it', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second, third] = world.hosts.map(({ run }) => run!.vdis);
    const [here] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi];
    await here.write(0, filled(8 * KIB, 1));
    await first!.snapshot('a', 'monday');
    await here.write(0, filled(8 * KIB, 2));
    const { id } = await second!.clone('a', 'b', 'monday');
    await third!.deleteSnapshot('a', 'monday');
    const clone = await third!.load(id);
    t.alike(await contents(clone, 0, 8 * KIB), filled(8 * KIB, 1));
    await clone.write(0, filled(4 * KIB, 3));
    t.alike(await contents(here, 0, 8 * KIB), filled(8 * KIB, 2));
    t.alike(await contents(clone, 0, 8 * KIB), Buffer.concat([filled(4 * KIB, 3), filled(4 * KIB, 1)]));
  });
});

test('what an earlier worker has told guests may be lost until a later one has flushed', async (t) => {
  await onThreeHosts(async (world) => {
    const [first] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi];
    await first.write(0, filled(KIB, 1));
    const opened = first.generation();
    const isDeadAfter = async (work: (vdi: Vdi) => Promise<unknown>) => {
      const [host] = world.hosts as [SimulatedHost];
      host.kill();
      host.start();
      const run = await host.running();
      const vdi = await run.vdis.load(first.id);
      await work(vdi);
      const { role } = vdi.objects as ReplicatedImage;
      const { map } = run.cluster.follower;
      const epoch = map.epoch + 1;
      const lossy = map.tables[2]!.map((group) => ({ ...group, lossy: epoch }));
      await role.prepare({ ...map, epoch, tables: { 2: lossy } });
      try {
        role.checkHandle(opened);
        return false;
      } catch {
        return true;
      }
    };
    const flush = async (vdi: Vdi) => {
      // What the fence has found is equal and may be flushed only then.
      await vdi.flush(true);
      await after(world, 1000);
      await vdi.flush(true);
    };
    t.absent(await isDeadAfter(flush));
    // By now nothing is active any more, of which the next fence would hear.
    await after(world, 5000);
    t.ok(await isDeadAfter((vdi) => vdi.objects.hold(Number.POSITIVE_INFINITY)));
  });
});

test('who is asked for a role that it gives away just then answers, whoever has it by now', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi, Vdi];
    await first.write(0, filled(KIB, 1));
    const { coordination } = world.hosts[0]!.run!;
    const read = coordination.get.bind(coordination);
    const before = await read(writerKey(first.id));
    await second.write(0, filled(KIB, 2));
    // It read who has the role before it had given it.
    coordination.get = (key) => {
      coordination.get = read;
      return key === writerKey(first.id) ? Promise.resolve(before) : read(key);
    };
    const roleOf = (vdi: Vdi) => (vdi.objects as ReplicatedImage).role;
    // The asker gives nothing away while it waits.
    roleOf(second).release = () => Promise.resolve(false);
    let isAnswered = false;
    void roleOf(first)
      .release('host2', { type: 'release', vdi: first.id, generation: 2, incarnation: 1, request: 1 })
      .then((isGiven) => {
        t.absent(isGiven);
        isAnswered = true;
      });
    await after(world, 10_000);
    t.ok(isAnswered);
  });
});

/** A write whose answers are held back until `answer` is called, and the flushes that its writer has begun since. */
async function writeWithoutAnswer(world: World, image: Vdi) {
  const writer = (image.objects as ReplicatedImage).role.writer!;
  const hear = writer.replied.bind(writer);
  const late: Reply[] = [];
  writer.replied = (reply) => late.push(reply);
  const written = image.write(0, filled(KIB, 2));
  await after(world, 100);
  writer.replied = hear;
  const begin = writer.flush.bind(writer);
  const held = { written, flushes: 0, answer: () => late.map(hear) };
  writer.flush = (chain) => {
    held.flushes++;
    return begin(chain);
  };
  return held;
}

test('who has not given a role in time goes on as before, and flushes for nobody any more', async (t) => {
  await onThreeHosts(async (world) => {
    const [first] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi, Vdi];
    await first.write(0, filled(KIB, 1));
    const held = await writeWithoutAnswer(world, first);
    const { role } = first.objects as ReplicatedImage;
    t.absent(
      await role.release('host2', { type: 'release', vdi: first.id, generation: 1, incarnation: 1, request: 1 }),
    );
    t.ok(held.flushes > 0);
    held.flushes = 0;
    await after(world, 10_000);
    t.is(held.flushes, 0);
    held.answer();
    await held.written;
    t.alike(await contents(first, 0, KIB), filled(KIB, 2));
  });
});

test('a role that cannot be given before a write is done is not flushed all the time, however often it is asked for', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi, Vdi];
    await first.write(0, filled(KIB, 1));
    const held = await writeWithoutAnswer(world, first);
    const next = second.write(KIB, filled(KIB, 3));
    await after(world, 20_000);
    t.ok(held.flushes > 0 && held.flushes <= 200, `${held.flushes} flushes in 20 seconds`);
    held.answer();
    await Promise.all([held.written, next]);
    t.alike(await contents(first, 0, 2 * KIB), Buffer.concat([filled(KIB, 2), filled(KIB, 3)]));
  });
});

test('a late answer to a raised bound of an earlier role is no word on the present one', async (t) => {
  await onThreeHosts(async (world) => {
    const { coordination } = world.hosts[0]!.run!;
    const [first, second, third] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi, Vdi, Vdi];
    await first.write(0, filled(KIB, 1));
    const answer = delayAnswer(coordination);
    const beyond = first.write(2 * OBJECT_BYTES, filled(KIB, 2));
    await after(world, 100);
    await second.write(0, filled(KIB, 3));
    await first.write(KIB, filled(KIB, 4));
    answer();
    await beyond;
    t.alike(await contents(third, 2 * OBJECT_BYTES, KIB), filled(KIB, 2));
  });
});

test("a snapshot is deleted, though the store's answer is lost", async (t) => {
  await onThreeHosts(async (world) => {
    const { vdis, coordination } = world.hosts[0]!.run!;
    await openAll(world, 'a', OBJECT_BYTES);
    await vdis.snapshot('a', 'monday');
    const carryOut = coordination.transaction.bind(coordination);
    let isLost = false;
    coordination.transaction = async (transaction) => {
      const result = await carryOut(transaction);
      if (isLost || !transaction.success?.some((operation) => 'delete' in operation)) return result;
      isLost = true;
      throw new CoordinationError('UNAVAILABLE', 'the answer was lost');
    };
    await vdis.deleteSnapshot('a', 'monday');
    t.ok(isLost);
    await t.exception(vdis.deleteSnapshot('a', 'monday'), /has no snapshot monday/);
  });
});

test('a snapshot is deleted, though another host has removed it before this one could', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second] = world.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
    const { vdis, coordination } = first.run!;
    await openAll(world, 'a', OBJECT_BYTES);
    const { id } = await vdis.snapshot('a', 'monday');
    await vdis.load(id);
    const carryOut = coordination.transaction.bind(coordination);
    coordination.transaction = async (transaction) => {
      coordination.transaction = carryOut;
      const result = await carryOut(transaction);
      // As a worker does that starts.
      await second.run!.vdis.removeIfUnused(id);
      return result;
    };
    await vdis.deleteSnapshot('a', 'monday');
    await t.exception(vdis.deleteSnapshot('a', 'monday'), /has no snapshot monday/);
    t.absent(vdis.loaded(id));
  });
});

test('an image is renamed, though what it replaces is removed by another host at once', async (t) => {
  await onThreeHosts(async (world) => {
    const [first, second] = world.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
    const { vdis, coordination } = first.run!;
    await openAll(world, 'a', OBJECT_BYTES);
    const [here] = (await openAll(world, 'b', OBJECT_BYTES)) as [Vdi];
    const carryOut = coordination.transaction.bind(coordination);
    coordination.transaction = async (transaction) => {
      coordination.transaction = carryOut;
      const result = await carryOut(transaction);
      await second.run!.vdis.removeIfUnused(here.id);
      return result;
    };
    await vdis.rename('a', 'b', 0);
    t.absent(vdis.loaded(here.id));
  });
});

test('a clone goes on from a source as long as it is, though its host has lost the role meanwhile', async (t) => {
  await onThreeHosts(async (world) => {
    const [first] = world.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
    const { vdis } = first.run!;
    const [here, there] = (await openAll(world, 'a')) as [Vdi, Vdi];
    await vdis.snapshot('a', 'monday');
    await here.write(3 * OBJECT_BYTES, filled(KIB, 1));
    away(world, first, here);
    const { id } = await vdis.clone('a', 'b');
    for (const vdi of [here, there, await vdis.load(id)]) {
      t.alike(await contents(vdi, 3 * OBJECT_BYTES, 8 * KIB), filled(KIB, 1));
    }
  });
});

test('a part of a sparse image is shared, though its host has lost the role meanwhile', async (t) => {
  await onThreeHosts(async (world) => {
    const [first] = world.hosts as [SimulatedHost, SimulatedHost, SimulatedHost];
    const { vdis } = first.run!;
    const [here] = (await openAll(world, 'a')) as [Vdi];
    const [target, seen] = (await openAll(world, 'b')) as [Vdi, Vdi];
    await here.write(3 * OBJECT_BYTES, filled(KIB, 1));
    away(world, first, target);
    t.ok(await vdis.share(here, target, 3 * OBJECT_BYTES, 3 * OBJECT_BYTES + KIB));
    t.alike(await contents(seen, 3 * OBJECT_BYTES, 8 * KIB), filled(KIB, 1));
    await here.write(0, filled(KIB, 2));
    t.alike(await contents(here, 0, KIB), filled(KIB, 2));
  });
});

test('a write that is refused for want of space makes no image longer', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there] = (await openAll(world, 'a')) as [Vdi, Vdi];
    await here.write(0, filled(KIB, 1));
    for (const host of world.hosts) for (const disk of host.disks.slots.keys()) host.crowd(disk, 0.5);
    await after(world, 60_000);
    t.is(await here.write(OBJECT_BYTES, filled(KIB, 2)).catch((error) => error.code), 'ENOSPC');
    t.is(await here.write(2 * OBJECT_BYTES, filled(KIB, 2)).catch((error) => error.code), 'ENOSPC');
    for (const host of world.hosts) host.uncrowd();
    await after(world, 60_000);
    await there.write(0, filled(KIB, 3));
    t.is((await there.current()).size, KIB);
  });
});

test('an image that was cut elsewhere is no longer for a write that its guest hears of late', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there] = (await openAll(world, 'a')) as [Vdi, Vdi];
    await here.write(0, filled(KIB, 1));
    const write = here.objects.write.bind(here.objects);
    let tell = () => {};
    here.objects.write = async (...parameters) => {
      here.objects.write = write;
      await write(...parameters);
      // As where its host has no right to answer for a while.
      await new Promise<void>((resolve) => {
        tell = resolve;
      });
    };
    const written = here.write(8 * KIB, filled(KIB, 2));
    await after(world, 1000);
    await there.resize(4 * KIB);
    await here.write(0, filled(KIB, 3));
    tell();
    await written;
    t.is((await here.current()).size, 4 * KIB);
    t.is((await there.current()).size, 4 * KIB);
  });
});

/** Runs `work` when the first object of those that are being allocated is. */
function afterFirstAllocation({ objects }: Vdi, work: () => Promise<void>): void {
  const allocate = objects.allocate.bind(objects);
  objects.allocate = async (...parameters) => {
    objects.allocate = allocate;
    await allocate(...parameters);
    await work();
  };
}

test('an image that is cut elsewhere while space is allocated in it is no longer for that', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there] = (await openAll(world, 'a', 3 * OBJECT_BYTES)) as [Vdi, Vdi];
    await here.write(0, filled(KIB, 1));
    afterFirstAllocation(here, () => there.resize(4 * KIB));
    await here.allocate(0, 3 * OBJECT_BYTES, true);
    t.is((await here.current()).size, 4 * KIB);
    await there.write(0, filled(KIB, 2));
    t.is((await there.current()).size, 4 * KIB);
    t.is(await there.objects.next(1, 3), null);
  });
});

test('nothing is allocated beyond the end of an image that is cut meanwhile', async (t) => {
  await onThreeHosts(async (world) => {
    const [here] = (await openAll(world, 'a', 3 * OBJECT_BYTES)) as [Vdi];
    await here.write(0, filled(KIB, 1));
    let cut: Promise<void> = Promise.resolve();
    afterFirstAllocation(here, async () => {
      cut = here.resize(4 * KIB);
    });
    await here.allocate(0, 3 * OBJECT_BYTES, true);
    await cut;
    t.is((await here.current()).size, 4 * KIB);
    t.is(await here.objects.next(1, 3), null);
  });
});

test('a late answer to changed attributes is no word on how far the image may reach', async (t) => {
  await onThreeHosts(async (world) => {
    const { coordination } = world.hosts[0]!.run!;
    const [first, second, third] = (await openAll(world, 'a')) as [Vdi, Vdi, Vdi];
    await second.write(0, filled(KIB, 1));
    const answer = delayAnswer(coordination);
    const changed = first.setAttributes((record) => ({ ...record, mode: 0o644 }));
    await after(world, 100);
    await first.write(0, filled(KIB, 2));
    answer();
    t.is((await changed).mode, 0o644);
    await first.write(2 * OBJECT_BYTES, filled(KIB, 3));
    world.hosts[0]!.kill();
    t.alike(await contents(third, 2 * OBJECT_BYTES, KIB), filled(KIB, 3));
  });
});

test('who is reading a snapshot while it is deleted hears that it is gone', async (t) => {
  await onThreeHosts(async (world) => {
    const { vdis } = world.hosts[0]!.run!;
    const [here] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi];
    await here.write(0, filled(8 * KIB, 1));
    const { id } = await vdis.snapshot('a', 'monday');
    const snapshots = await Promise.all(world.hosts.map(({ run }) => run!.vdis.load(id)));
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const reads = snapshots.map((snapshot) => {
      const read = snapshot.objects.read.bind(snapshot.objects);
      // Its turn comes only when the snapshot is gone.
      snapshot.objects.read = (...parameters) => begun.then(() => read(...parameters));
      return snapshot.read(0, Buffer.alloc(KIB)).then(() => 'read', codeOf);
    });
    await vdis.deleteSnapshot('a', 'monday');
    begin();
    t.alike(await Promise.all(reads), ['ESTALE', 'ESTALE', 'ESTALE']);
  });
});

test('a layer is part of another only when the disks that are away have made it so', async (t) => {
  await onThreeHosts(async (world) => {
    const [first] = world.hosts.map(({ run }) => run!.vdis);
    const [here, there] = (await openAll(world, 'a', 8 * OBJECT_BYTES)) as [Vdi, Vdi];
    for (let index = 0; index < 8; index++) await here.write(index * OBJECT_BYTES, filled(8 * KIB, 1));
    await first!.snapshot('a', 'monday');
    for (let index = 0; index < 8; index++) await here.write(index * OBJECT_BYTES, filled(4 * KIB, 2));
    world.hosts[2]!.kill();
    await first!.deleteSnapshot('a', 'monday');
    await after(world, 60_000);
    const family = async () => (await first!.catalog.family(here.record.family))!.record;
    t.is((await family()).merging.length, 1, 'one host is away');
    const expected = Buffer.concat([filled(4 * KIB, 2), filled(4 * KIB, 1)]);
    t.alike(await contents(there, 7 * OBJECT_BYTES, 8 * KIB), expected);
    world.hosts[2]!.start();
    await after(world, 60_000);
    t.is((await family()).merging.length, 0);
    t.is(Object.keys((await family()).layers).length, 1, 'the layer is forgotten');
    const third = await (await world.hosts[2]!.running()).vdis.load(here.id);
    for (let index = 0; index < 8; index++) t.alike(await contents(third, index * OBJECT_BYTES, 8 * KIB), expected);
  });
});

test('who reads a snapshot that was deleted hears that, though the hosts that have copies have restarted', async (t) => {
  await onThreeHosts(async (world) => {
    const { vdis } = world.hosts[0]!.run!;
    const [here] = (await openAll(world, 'a', 8 * OBJECT_BYTES)) as [Vdi];
    for (let index = 0; index < 8; index++) await here.write(index * OBJECT_BYTES, filled(KIB, 1));
    const { id } = await vdis.snapshot('a', 'monday');
    const snapshot = await world.hosts[2]!.run!.vdis.load(id);
    await vdis.deleteSnapshot('a', 'monday');
    await after(world, 1000);
    for (const host of world.hosts.slice(0, 2)) {
      host.kill();
      host.start();
    }
    await after(world, 5000);
    const read = (index: number) => snapshot.read(index * OBJECT_BYTES, Buffer.alloc(KIB));
    const outcomes = Array.from({ length: 8 }, (_, index) => read(index).then(() => 'read', codeOf));
    t.alike(await Promise.all(outcomes), Array(8).fill('ESTALE'));
  });
});

test('a disk that cannot do its part in a merge keeps no other disk of its host from it', async (t) => {
  await onThreeHosts(async (world) => {
    const { vdis, cluster } = world.hosts[0]!.run!;
    const disks = cluster.replica.layerDisks;
    const fail = () => Promise.reject(new Error('it has failed'));
    const failed = { number: 999, deleteLayer: fail, mergeLayer: fail };
    Object.defineProperty(cluster.replica, 'layerDisks', { value: [failed, ...disks] });
    const [here] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi];
    await here.write(0, filled(8 * KIB, 1));
    await vdis.snapshot('a', 'monday');
    await vdis.deleteSnapshot('a', 'monday');
    await after(world, 1000);
    const { record } = (await vdis.catalog.family(here.record.family))!;
    t.alike(record.merging, [], 'all have done it, and the layer is forgotten');
  });
});

test('a removed image is gone on every host, and so is its space', async (t) => {
  await onThreeHosts(async (world) => {
    const [, second] = world.hosts.map(({ run }) => run!.vdis);
    const [here, there] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi, Vdi];
    await here.write(0, filled(8 * KIB, 1));
    await second!.unlink('a');
    t.is(await contents(here, 0, 512).catch((error) => error.code), 'ESTALE');
    t.is(await there.write(0, filled(512, 1)).catch((error) => error.code), 'ESTALE');
    await after(world, 60_000);
    for (const { run } of world.hosts) {
      for (const disk of run!.disks) t.is(disk.index.nextFamily(0), null);
    }
    t.alike(world.store.peekRange('/family/'), []);
    t.alike(world.store.peekRange('/writer/'), []);
  });
});

/** What comes of wanting the writer role. */
function wanting({ objects }: Vdi): Promise<string> {
  return objects.hold(Number.POSITIVE_INFINITY).then(
    () => 'held',
    (error) => error.code,
  );
}

test('who wants the role of an image that is gone puts no writer of it on record', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there] = (await openAll(world, 'a')) as [Vdi, Vdi];
    await here.write(0, filled(KIB, 1));
    await world.hosts[0]!.run!.vdis.unlink('a');
    t.is(world.store.peek(writerKey(here.id)), null);
    t.is(await wanting(there), 'ESTALE');
    t.is(world.store.peek(writerKey(here.id)), null);
  });
});

test('nobody waits for the role of an image that is gone, whoever is on record as its writer', async (t) => {
  await onThreeHosts(async (world) => {
    const [here, there, other] = (await openAll(world, 'a')) as [Vdi, Vdi, Vdi];
    await here.write(0, filled(KIB, 1));
    await world.hosts[0]!.run!.vdis.unlink('a');
    // As where that host had the role taken when its record was about to be removed, by a host that died then.
    const { id, run } = world.hosts[2]!;
    const holder = { host: id, incarnation: run!.cluster.liveness.incarnation };
    const value = encodeWriter({ ...NO_WRITER, generation: 9, holder, clean: false });
    world.store.transact({ success: [{ put: writerKey(other.id), value }] });
    t.is(await wanting(there), 'ESTALE');
  });
});

test('an image is removed, though the store does not answer while hosts are to hear of it', async (t) => {
  await onThreeHosts(async (world) => {
    const { vdis, coordination } = world.hosts[0]!.run!;
    const [here] = (await openAll(world, 'a')) as [Vdi];
    // Its size is less than what is stored as the bound.
    await here.write(0, filled(8 * KIB, 1));
    const carryOut = coordination.transaction.bind(coordination);
    const read = coordination.get.bind(coordination);
    coordination.transaction = async (transaction) => {
      const result = await carryOut(transaction);
      if (!transaction.success?.some((each) => 'delete' in each && each.delete === `/vdi/${here.id}`)) return result;
      coordination.get = (key) => {
        if (key !== '/map') return read(key);
        coordination.get = read;
        return Promise.reject(new CoordinationError('UNAVAILABLE', 'no answer'));
      };
      return result;
    };
    let isRemoved = false;
    void vdis.unlink('a').then(() => {
      isRemoved = true;
    });
    await after(world, 60_000);
    t.ok(isRemoved);
    t.alike(world.store.peekRange('/writer/'), []);
  });
});

test('the writer role is given back some time after the last close, and flushed before', async (t) => {
  await onThreeHosts(async (world) => {
    const [first] = world.hosts;
    const [here, there] = (await openAll(world, 'a', OBJECT_BYTES)) as [Vdi, Vdi];
    const writer = () => decodeWriter(world.store.peekRange('/writer/')[0]!.value);
    await here.write(0, filled(4 * KIB, 1));
    const { generation } = writer();
    first!.closed(here.id);
    await after(world, 20_000);
    first!.closed(here.id);
    await after(world, 20_000);
    t.is(writer().holder?.host, first!.id, 'it was opened and closed again meanwhile');
    first!.isOpen = () => true;
    await after(world, 20_000);
    t.is(writer().holder?.host, first!.id, 'it is open');
    first!.isOpen = () => false;
    first!.closed(here.id);
    await after(world, 40_000);
    t.alike([writer().holder, writer().clean, writer().generation], [null, true, generation + 1]);
    first!.kill();
    await there.write(4 * KIB, filled(4 * KIB, 2));
    t.is(writer().generation, generation + 2, 'nobody is asked, and nothing is fenced');
    t.alike(await contents(there, 0, 8 * KIB), Buffer.concat([filled(4 * KIB, 1), filled(4 * KIB, 2)]));
  });
});
