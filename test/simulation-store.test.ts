import { type Assertions, test } from 'brittle';
import { IndexLocks } from '../lib/replication/index-locks.js';
import { LayerWork } from '../lib/replication/layer-work.js';
import type { Chain } from '../lib/replication/object-io.js';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { OBJECT } from '../lib/store/entry.js';
import { Disk } from '../lib/store/index.js';
import { equalObject } from '../lib/store/object-equal.js';
import { readObject } from '../lib/store/object-read.js';
import { writeObject } from '../lib/store/object-write.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { chainOf, groupOf, IDENTITY, readAt } from './helpers/disks.js';
import { SectorImage } from './helpers/sector-image.js';
import { MachineRun } from './helpers/simulated-machine.js';
import type { DeviceImage } from './simulation/disk.js';

const INDEXES = 4;
const IMAGES_MAX = 4;
const LAYERS_MAX = 4;
const FAMILY = 7;
/** Of an object: few, so that ranges meet, and objects stay sparse. */
const SLOTS = [0, 1, 9, 1023];
const SLOT_BYTES = 4096;
const SECTOR_BYTES = 512;
/** Small, so that a disk comes near to being full now and then. */
const DISK_BYTES = 256 * 1024 * 1024;

interface Image {
  chain: Chain;
  content: SectorImage;
}

/** Random work on images over `lib/store`, on disks that a power cut takes back, and processes that are killed. */
class StoreRun {
  readonly run: MachineRun;
  #images: Image[] = [];
  #layerNext = 1;
  #byte = 0;
  #disks: Disk[] = [];
  #objects!: DiskObjects;
  #epoch = 1;
  readonly #replicated: boolean;

  constructor(seed: number) {
    this.run = new MachineRun(seed, 2, { capacityBytes: DISK_BYTES, clones: seed % 2 === 0 });
    this.#replicated = seed % 3 === 0;
  }

  async format(): Promise<void> {
    for (const [at, directory] of this.run.directories.entries()) {
      await this.run.settle(Disk.format(directory, { ...IDENTITY, disk: at + 1 }, this.run.system));
    }
  }

  async open(): Promise<void> {
    const { system } = this.run;
    this.#disks = [];
    for (const directory of this.run.directories) {
      this.#disks.push(await this.run.settle(Disk.open(directory, IDENTITY, { system, replicated: this.#replicated })));
    }
    this.#objects = new DiskObjects(this.#disks, () => this.#epoch);
  }

  async step(): Promise<void> {
    const { random } = this.run;
    if (this.#images.length === 0) this.#create();
    const image = this.#images[random.below(this.#images.length)]!;
    const chance = random.next();
    if (chance < 0.6) await this.#changes();
    else if (chance < 0.75) await this.#flush(image);
    else if (chance < 0.8) await this.#snapshot(image);
    else if (chance < 0.83) await this.#clone(image);
    else if (chance < 0.87) this.#epoch++;
    else if (chance < 0.92) await this.run.pass(random.below(8000));
    else if (chance < 0.95) await this.#end(true);
    else if (chance < 0.98) await this.#end(false);
    else await this.#reopen();
  }

  #create(): void {
    const chain = { family: FAMILY, layers: [{ layer: this.#layerNext++, limit: Number.MAX_SAFE_INTEGER }] };
    this.#images.push({ chain, content: new SectorImage() });
  }

  /** A few writes and discards at once, none of which overlap. */
  async #changes(): Promise<void> {
    await this.run.settle(Promise.all(this.#begin()));
  }

  #begin(): Promise<void>[] {
    const { random } = this.run;
    const taken = new Set<string>();
    const running: Promise<void>[] = [];
    for (let count = 1 + random.below(6); count > 0; count--) {
      const image = this.#images[random.below(this.#images.length)]!;
      const index = random.below(INDEXES);
      const slot = SLOTS[random.below(SLOTS.length)]!;
      const key = `${image.chain.layers[0]!.layer} ${index}`;
      if (taken.has(`${key} ${slot}`) || taken.has(`${key} whole`)) continue;
      if (random.chance(0.05) && !SLOTS.some((other) => taken.has(`${key} ${other}`))) {
        taken.add(`${key} whole`);
        running.push(this.#discard(image, index, 0, OBJECT_BYTES));
        continue;
      }
      taken.add(`${key} ${slot}`);
      const first = random.below(8);
      const sectors = 1 + random.below(8 - first);
      const offset = slot * SLOT_BYTES + first * SECTOR_BYTES;
      if (random.chance(0.15)) running.push(this.#discard(image, index, offset, sectors * SECTOR_BYTES));
      else running.push(this.#write(image, index, offset, sectors * SECTOR_BYTES));
    }
    return running;
  }

  async #write({ chain, content }: Image, index: number, offset: number, length: number): Promise<void> {
    this.#byte = (this.#byte % 255) + 1;
    const end = content.begin(index, offset, length, this.#byte);
    await this.#objects.write(chain, index, offset, Buffer.alloc(length, this.#byte));
    end();
  }

  async #discard({ chain, content }: Image, index: number, offset: number, length: number): Promise<void> {
    const end = content.begin(index, offset, length, 0);
    await this.#objects.discard(chain, { index, offset, length });
    end();
  }

  async #flush({ chain, content }: Image): Promise<void> {
    await this.run.settle(this.#objects.flush(chain));
    content.flushed();
  }

  /** After a flush, as a snapshot is taken. */
  async #snapshot(image: Image): Promise<void> {
    if (image.chain.layers.length >= LAYERS_MAX) return;
    await this.#flush(image);
    this.#addLayer(image);
  }

  async #clone(image: Image): Promise<void> {
    if (this.#images.length >= IMAGES_MAX) return;
    await this.#flush(image);
    const clone = { chain: image.chain, content: image.content.copy() };
    this.#addLayer(image);
    this.#addLayer(clone);
    this.#images.push(clone);
  }

  #addLayer(image: Image): void {
    const { family, layers } = image.chain;
    image.chain = { family, layers: [{ layer: this.#layerNext++, limit: Number.MAX_SAFE_INTEGER }, ...layers] };
  }

  /** The process or the machine ends in the middle of something. */
  async #end(power: boolean): Promise<void> {
    const { random } = this.run;
    this.#begin();
    if (random.chance(0.3)) void this.#objects.flush(this.#images[0]!.chain);
    await this.run.pass(random.next() * (random.chance(0.5) ? 0.5 : 10));
    if (power) this.run.reboot();
    else this.run.kill();
    await this.open();
    // What was not flushed is given up by the clock, too, whether somebody has read it or not.
    if (random.chance(0.3)) await this.run.pass(8000);
    if (random.chance(0.2)) {
      for (const disk of this.#disks) await this.run.settle(disk.close());
      await this.open();
    }
    for (const image of this.#images) await this.#check(image, power);
  }

  async #reopen(): Promise<void> {
    for (const disk of this.#disks) await this.run.settle(disk.close());
    await this.open();
    for (const image of this.#images) await this.#check(image, false);
  }

  /** Reads every slot: it shows what it may, and is from now on what it showed. */
  async #check({ chain, content }: Image, power: boolean): Promise<void> {
    const target = Buffer.alloc(SLOT_BYTES);
    for (let index = 0; index < INDEXES; index++) {
      for (const slot of SLOTS) {
        target.fill(0xee);
        await this.run.settle(this.#objects.read(chain, index, slot * SLOT_BYTES, target));
        content.settle(index, slot * SLOT_BYTES, target, power);
      }
    }
  }

  async close(): Promise<void> {
    for (const image of this.#images) await this.#check(image, false);
    for (const disk of this.#disks) await this.run.settle(disk.close());
    if (this.run.system.files.descriptors > 0) throw new Error('descriptors are left open');
  }
}

async function runStore(
  t: Assertions,
  seed: number,
  steps: number,
): Promise<{ operations: number; simulatedMs: number }> {
  const store = new StoreRun(seed);
  try {
    await store.format();
    await store.open();
    for (let step = 0; step < steps; step++) await store.step();
    await store.close();
  } catch (error) {
    t.fail(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
  }
  return { operations: store.run.operations, simulatedMs: store.run.scheduler.nowMs };
}

/** Another seed can be given, and more of them, and more steps. */
const SEED = Number(process.env.SIMULATION_SEED ?? 1);
const SEEDS = Number(process.env.SIMULATION_SEEDS ?? 50);
const STEPS = Number(process.env.SIMULATION_STEPS ?? 150);

test('the store keeps its promises on disks that lose their power', { timeout: 300_000 }, async (t) => {
  const start = process.cpuUsage();
  let operations = 0;
  let simulatedMs = 0;
  for (let seed = SEED; seed < SEED + SEEDS; seed++) {
    const result = await runStore(t, seed, STEPS);
    operations += result.operations;
    simulatedMs += result.simulatedMs;
  }
  const { user, system } = process.cpuUsage(start);
  const seconds = (user + system) / 1e6;
  t.pass(
    `seeds ${SEED} to ${SEED + SEEDS - 1}: ${operations} operations of disks in ${seconds.toFixed(1)} s of a processor, ` +
      `${Math.round(operations / seconds)}/s; ${Math.round(simulatedMs / 1000)} s simulated`,
  );
});

test('a disk that fails, hangs, is pulled out or swapped is taken out', async (t) => {
  const faults: [string, RegExp, (run: MachineRun, other: MachineRun) => void][] = [
    ['a read fails', /EIO/, ({ devices }) => devices[0]!.break('read', 'EIO')],
    ['a write fails', /EIO/, ({ devices }) => devices[0]!.break('write', 'EIO')],
    ['a sync fails', /sync/, ({ devices }) => devices[0]!.break('sync', 'EIO', 1)],
    ['a commit fails', /the index failed/, ({ devices }) => devices[0]!.break('commit', 'EIO')],
    ['it hangs', /within 10 s/, ({ devices }) => devices[0]!.breakAll('hang')],
    ['it is pulled out', /./, (run) => run.machine.remove('/disk1', run.random)],
    ['it is swapped', /./, ({ machine }, other) => machine.mount('/disk1', other.devices[0]!)],
  ];
  for (const [name, reason, fault] of faults) {
    const [run, other] = [new MachineRun(SEED, 1), new MachineRun(SEED + 1, 1)];
    for (const { settle, system } of [run, other].map((each) => ({
      settle: each.settle.bind(each),
      system: each.system,
    }))) {
      await settle(Disk.format('/disk1', { ...IDENTITY, disk: 1 }, system));
    }
    const disk = await run.settle(Disk.open('/disk1', IDENTITY, { system: run.system }));
    const objects = new DiskObjects([disk]);
    const image = chainOf(1, 1);
    await run.settle(objects.write(image, 0, 0, Buffer.alloc(512, 1)));
    fault(run, other);
    void objects.write(image, 0, 0, Buffer.alloc(512, 2)).catch(() => {});
    void objects.write(image, 1, 0, Buffer.alloc(512, 2)).catch(() => {});
    await run.pass(50);
    void objects.flush(image).catch(() => {});
    void readAt(objects, image, 0, 0, 512).catch(() => {});
    await run.pass(30_000);
    t.ok(disk.failed !== null && reason.test(disk.failed), `${name}: ${disk.failed}`);
  }
});

test('a disk that was put back to an older copy of itself shows a lower number of opens', async (t) => {
  const run = new MachineRun(SEED, 1);
  await run.settle(Disk.format('/disk1', { ...IDENTITY, disk: 1 }, run.system));
  const open = () => run.settle(Disk.open('/disk1', IDENTITY, { system: run.system }));
  await run.settle((await open()).close());
  const image = run.devices[0]!.snapshot();
  const disk = await open();
  t.is(disk.record.opens, 2);
  await t.exception(open(), /in use by another/);
  run.kill();
  run.devices[0]!.restore(image);
  const opens = disk.record.opens;
  const remembered = Disk.open('/disk1', { ...IDENTITY, opens }, { system: run.system });
  await t.exception(run.settle(remembered), /put back to an earlier state of disk/);
  t.is((await open()).record.opens, 2, 'not even by those that may be opened again and again');
});

test('what a power cut took is settled by a later process where the first one ends before it is', async (t) => {
  let [torn, missing] = [0, 0];
  for (let seed = 1; seed <= 40; seed++) {
    const machine = new MachineRun(seed, 1);
    const [directory] = machine.directories as [string];
    await machine.settle(Disk.format(directory, { ...IDENTITY, disk: 1 }, machine.system));
    const open = () => Disk.open(directory, {}, { system: machine.system, replicated: true });
    const before = new DiskObjects([await machine.settle(open())]);
    const chain = chainOf(1, 1);
    for (let index = 0; index < 4; index++) {
      await machine.settle(before.write(chain, index, 0, Buffer.alloc(512, 1)));
      // Synced alone: the index has the object, and its file is not on disk.
      await machine.settle(before.flush(chainOf(2, 1)));
    }
    machine.reboot();
    void open().catch(() => {});
    await machine.pass(seed / 4);
    machine.kill();
    const disk = await machine.settle(open());
    for (const { index } of [...disk.index.activeObjects()]) {
      const isObject = disk.index.find(1, index, 1) === OBJECT;
      const path = isObject ? disk.files.path(groupOf(1, index), 1, index, disk.index.foundSerial) : null;
      if (path === null) torn++;
      else await machine.settle(disk.io.statOf(path)).catch(() => missing++);
    }
  }
  t.ok(torn > 0, `${torn} objects are none any more`);
  t.is(missing, 0, 'every other one has its file');
});

test('a disk that was away and comes back under the same boot is as after a reboot, and says so', async (t) => {
  const machine = new MachineRun(5, 1);
  const [directory] = machine.directories as [string];
  await machine.settle(Disk.format(directory, { ...IDENTITY, disk: 1 }, machine.system));
  const open = () => machine.settle(Disk.open(directory, {}, { system: machine.system, replicated: true }));
  t.is((await open()).wasAway, false, 'the first time');
  machine.kill();
  t.is((await open()).wasAway, false, 'a worker restarted');
  machine.kill();
  const comesBack = () => {
    machine.machine.remove(directory, machine.random);
    machine.devices[0]!.mend();
    machine.machine.mount(directory, machine.devices[0]!);
  };
  comesBack();
  t.is((await open()).wasAway, true, 'its caches are gone, as the boot id does not tell');
  machine.kill();
  const disk = await open();
  t.is(disk.wasAway, true, 'nor has anybody been told of it');
  await machine.settle(disk.seenAbsent());
  machine.kill();
  t.is((await open()).wasAway, false, 'it was seen absent');
  machine.kill();
  comesBack();
  t.is((await open()).wasAway, true, 'away once more');
  machine.reboot();
  t.is((await open()).wasAway, false, 'after a reboot, of which the boot id tells');
});

test('an object that was made equal and not synced hides nothing after a power cut', async (t) => {
  const chain = chainOf(1, 2, 1);
  const place = { pg: 0, family: 1, index: 0 };
  const [below, above] = [Buffer.alloc(8192, 1), Buffer.alloc(4096, 2)];
  const found = new Set<string>();
  for (let seed = 1; seed <= 20; seed++) {
    const machine = new MachineRun(seed, 1);
    const [directory] = machine.directories as [string];
    await machine.settle(Disk.format(directory, { ...IDENTITY, disk: 1 }, machine.system));
    const open = () => machine.settle(Disk.open(directory, {}, { system: machine.system, replicated: true }));
    let disk = await open();
    await machine.settle(writeObject(disk, place, chain.layers.slice(1), 0, below, 1));
    await machine.settle(disk.flushAll());
    const blocks = [
      { offset: 0, data: above },
      { offset: 4096, data: above },
    ];
    const equal = equalObject(disk, place, 2, { end: 8192, blocks }, 1);
    if (seed % 2 === 0) await machine.settle(equal);
    else await machine.pass(machine.random.below(12));
    machine.reboot();
    disk = await open();
    const target = Buffer.alloc(8192);
    await machine.settle(readObject(disk, place.pg, place.family, place.index, chain.layers, 0, target));
    found.add(`${target[0]} ${target[4095]} ${target[4096]} ${target[8191]}`);
  }
  t.alike([...found], ['1 1 1 1']);
});

test('a disk whose device was away for a moment while it was open is taken out', async (t) => {
  const machine = new MachineRun(7, 1);
  const [directory] = machine.directories as [string];
  await machine.settle(Disk.format(directory, { ...IDENTITY, disk: 1 }, machine.system));
  const disk = await machine.settle(Disk.open(directory, {}, { system: machine.system, replicated: true }));
  machine.machine.remove(directory, machine.random);
  machine.devices[0]!.mend();
  machine.machine.mount(directory, machine.devices[0]!);
  const failed = new Promise<string>((resolve) => disk.on('failed', resolve));
  t.is(await machine.settle(failed), `the device of ${directory} was away`);
});

test('nothing is read from an older state of a disk that came back while it was open', async (t) => {
  const machine = new MachineRun(9, 1);
  const [directory] = machine.directories as [string];
  await machine.settle(Disk.format(directory, { ...IDENTITY, disk: 1 }, machine.system));
  const open = () => machine.settle(Disk.open(directory, {}, { system: machine.system, replicated: true }));
  const chain = chainOf(1, 1);
  const first = new DiskObjects([await open()]);
  let image: DeviceImage | null = null;
  for (const value of [1, 2]) {
    await machine.settle(first.write(chain, 0, 0, Buffer.alloc(512, value)));
    await machine.settle(first.flush(chain));
    image ??= machine.devices[0]!.snapshot();
  }
  machine.kill();
  const disk = await open();
  machine.devices[0]!.restore(image!);
  await t.exception(machine.settle(readAt(new DiskObjects([disk]), chain, 0, 0, 512)), /EIO/);
  t.ok(disk.failed);
});

test('work on layers of a disk that hangs ends when the disk is taken out', async (t) => {
  const machine = new MachineRun(8, 1);
  const [directory] = machine.directories as [string];
  await machine.settle(Disk.format(directory, { ...IDENTITY, disk: 1 }, machine.system));
  const disk = await machine.settle(Disk.open(directory, {}, { system: machine.system, replicated: true }));
  // As of a pull that does not end.
  const recovery = { attemptsEnd: () => new Promise<void>(() => undefined) };
  const work = new LayerWork({ disk, locks: new IndexLocks(), recovery }, () => 0);
  const deleted = work.deleteLayer(1, 1);
  disk.fail('it hangs');
  await t.exception(deleted, /it hangs/);
  await work.ended();
  await t.exception(work.deleteLayer(1, 1), /it hangs/);
});

test('an index that fails says so as the disk does', async (t) => {
  const machine = new MachineRun(6, 1);
  const [directory] = machine.directories as [string];
  await machine.settle(Disk.format(directory, { ...IDENTITY, disk: 1 }, machine.system));
  const disk = await machine.settle(Disk.open(directory, {}, { system: machine.system, replicated: true }));
  machine.devices[0]!.break('commit', 'EIO');
  await t.exception(machine.settle(disk.groups.setInsync([{ copies: 3, pg: 1 }], 4)), /taken out/);
  t.is(
    (await machine.settle(disk.groups.setInsync([{ copies: 3, pg: 2 }], 4).catch((error) => error))).code,
    'DISK_FAILED',
  );
});

test('two runs of the store from one seed are the same', { timeout: 60_000 }, async (t) => {
  t.alike(await runStore(t, SEED, STEPS), await runStore(t, SEED, STEPS));
});
