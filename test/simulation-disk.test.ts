import { constants } from 'node:fs';
import { join } from 'node:path';
import { test } from 'brittle';
import { BINARY } from '../lib/database/environment.js';
import { type DirectoryEntry, type FilesystemStats, NODE_FILES, promised, syncDirectory } from '../lib/store/files.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { FileOperations, type Side } from './helpers/file-operations.js';
import { Random } from './helpers/random.js';
import { MachineRun } from './helpers/simulated-machine.js';

const SECTOR_BYTES = 512;
const CREATE = constants.O_RDWR | constants.O_CREAT;
/** Another seed can be given. */
const SEED = Number(process.env.SIMULATION_SEED ?? 1);
const SEEDS = Array.from({ length: 50 }, (_, number) => SEED + number);

function open(run: MachineRun, name: string, flags = CREATE): Promise<number> {
  return run.settle(promised<number>((done) => run.system.files.open(`/disk1/${name}`, flags, 0o600, done)));
}

function write(run: MachineRun, fd: number, byte: number, position: number, length: number): Promise<number> {
  const source = Buffer.alloc(length, byte);
  return promised((done) => run.system.files.write(fd, source, 0, length, position, done));
}

function sync(run: MachineRun, fd: number): Promise<void> {
  return promised((done) => run.system.files.fdatasync(fd, done));
}

async function content(run: MachineRun, name: string): Promise<Buffer> {
  const fd = await open(run, name, constants.O_RDONLY);
  const { size } = run.system.files.fstatSync(fd);
  const target = Buffer.alloc(size);
  await run.settle(promised<number>((done) => run.system.files.read(fd, target, 0, size, 0, done)));
  run.system.files.closeSync(fd);
  return target;
}

async function namesIn(run: MachineRun, path: string): Promise<string[]> {
  const { files } = run.system;
  const entries = await run.settle(
    promised<DirectoryEntry[]>((done) => files.readdir(path, { withFileTypes: true }, done)),
  );
  return entries.map(({ name }) => name).sort();
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
}

test('simulated files answer as real ones', { timeout: 120_000 }, async (t) => {
  for (const seed of SEEDS.slice(0, 4)) {
    const run = new MachineRun(seed, 1);
    const sides: Side[] = [
      { files: NODE_FILES, root: await temporaryDirectory(t), descriptors: new Map() },
      { files: run.system.files, root: '/disk1', descriptors: new Map() },
    ];
    const operations = new FileOperations(new Random(seed));
    let [same, done] = [true, 0];
    for (; done < 1500 && same; done++) {
      const call = operations.next();
      const real = await call(sides[0]!);
      const simulated = await run.settle(call(sides[1]!));
      same = real === simulated;
      if (!same) t.fail(`seed ${seed}, call ${done}: ${real.slice(0, 300)} is simulated as ${simulated.slice(0, 300)}`);
    }
    for (const fd of sides[0]!.descriptors.values()) await codeOf(promised((ended) => NODE_FILES.close(fd, ended)));
    t.ok(same, `seed ${seed}: ${done} calls`);
  }
});

test('a power cut keeps what was synced, and of the rest any sectors', async (t) => {
  const seen = { kept: 0, lost: 0, torn: 0 };
  for (const seed of SEEDS) {
    const run = new MachineRun(seed, 1);
    const fd = await open(run, 'file');
    await run.settle(syncDirectory(run.system.files, '/disk1'));
    const allowed = Array.from({ length: 64 }, () => new Set([0]));
    let size = 0;
    let sizeSynced = 0;
    for (let step = 1; step < 200; step++) {
      if (run.random.chance(0.05)) {
        await run.settle(sync(run, fd));
        for (const bytes of allowed) for (const byte of [...bytes].slice(0, -1)) bytes.delete(byte);
        sizeSynced = size;
      }
      const first = run.random.below(60);
      const count = 1 + run.random.below(4);
      await run.settle(write(run, fd, step, first * SECTOR_BYTES, count * SECTOR_BYTES));
      for (let sector = first; sector < first + count; sector++) {
        // The newest last.
        allowed[sector]!.delete(step);
        allowed[sector]!.add(step);
      }
      size = Math.max(size, (first + count) * SECTOR_BYTES);
    }
    run.reboot();
    const left = await content(run, 'file');
    if (left.length < sizeSynced || left.length > size) throw new Error(`seed ${seed}: size ${left.length}`);
    let [old, young] = [0, 0];
    for (const [sector, bytes] of allowed.entries()) {
      const shown = left.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
      if (shown.length === 0) continue;
      if (!bytes.has(shown[0]!) && shown.length === SECTOR_BYTES) throw new Error(`seed ${seed}: sector ${sector}`);
      if (shown.some((byte) => byte !== shown[0])) throw new Error(`seed ${seed}: sector ${sector} is torn`);
      if (bytes.size === 1) continue;
      if (shown[0] === [...bytes].at(-1)) young++;
      else old++;
    }
    seen[old === 0 ? 'kept' : young === 0 ? 'lost' : 'torn']++;
  }
  t.ok(seen.kept > 0 && seen.lost > 0 && seen.torn > 0, JSON.stringify(seen));
});

test('a sync is good for what was written before it began', async (t) => {
  let lost = 0;
  for (const seed of SEEDS) {
    const run = new MachineRun(seed, 1);
    const fd = await open(run, 'file');
    await run.settle(syncDirectory(run.system.files, '/disk1'));
    await run.settle(write(run, fd, 1, 0, SECTOR_BYTES));
    const syncing = sync(run, fd);
    const writing = write(run, fd, 2, 0, SECTOR_BYTES);
    await run.settle(Promise.all([syncing, writing]));
    run.reboot();
    const [byte] = await content(run, 'file');
    if (byte !== 1 && byte !== 2) t.fail(`seed ${seed}: ${byte}`);
    if (byte === 1) lost++;
  }
  t.ok(lost > 0 && lost < SEEDS.length, `${lost} later writes were lost`);
});

test('after a sync that failed nothing is written, whatever the next sync says', async (t) => {
  const run = new MachineRun(SEED, 1);
  const fd = await open(run, 'file');
  await run.settle(write(run, fd, 1, 0, SECTOR_BYTES));
  await run.settle(sync(run, fd));
  await run.settle(syncDirectory(run.system.files, '/disk1'));
  await run.settle(write(run, fd, 2, 0, SECTOR_BYTES));
  run.devices[0]!.break('sync', 'EIO', 1);
  t.is(await run.settle(codeOf(sync(run, fd))), 'EIO');
  await run.settle(sync(run, fd));
  t.is((await content(run, 'file'))[0], 2, 'it is still read');
  run.reboot();
  t.is((await content(run, 'file'))[0], 1);
});

test('names are durable when their directory was synced, and no sooner', async (t) => {
  const seen = { kept: 0, lost: 0, back: 0 };
  for (const seed of SEEDS) {
    const run = new MachineRun(seed, 1);
    for (const name of ['old', 'given-up', 'target']) await open(run, name);
    await run.settle(syncDirectory(run.system.files, '/disk1'));
    const fd = await open(run, 'new');
    await run.settle(write(run, fd, 1, 0, 100));
    await run.settle(sync(run, fd));
    await run.settle(promised((done) => run.system.files.unlink('/disk1/given-up', done)));
    await open(run, 'target.new');
    await run.settle(promised((done) => run.system.files.rename('/disk1/target.new', '/disk1/target', done)));
    run.reboot();
    const names = await namesIn(run, '/disk1');
    if (!names.includes('old') || !names.includes('target')) t.fail(`seed ${seed}: ${names}`);
    if (names.includes('target.new')) t.fail(`seed ${seed}: a rename is done or not`);
    if (names.includes('new')) {
      seen.kept++;
      if ((await content(run, 'new')).length !== 100) t.fail(`seed ${seed}: what was synced is lost`);
    } else {
      seen.lost++;
    }
    if (names.includes('given-up')) seen.back++;
  }
  t.ok(seen.kept > 0 && seen.lost > 0 && seen.back > 0, JSON.stringify(seen));
});

test('a database goes back to a commit, and not behind one that was synced', async (t) => {
  const lost = new Set<string>();
  for (const seed of SEEDS) {
    const run = new MachineRun(seed, 1);
    const environment = run.system.openEnvironment('/disk1/index');
    const table = environment.openDB('numbers', BINARY);
    await run.settle(syncDirectory(run.system.files, '/disk1'));
    await run.settle(syncDirectory(run.system.files, '/disk1/index'));
    const key = (number: number) => Buffer.from([number]);
    let durable = 0;
    let last = 0;
    for (let commit = 1; commit <= 30; commit++) {
      const committed = environment.batch(() => {
        // Each puts its own and takes the one before: one key is there at any time.
        void table.put(key(commit), Buffer.from('x'));
        void table.remove(key(commit - 1));
      });
      if (commit > 25 && run.random.chance(0.5)) break;
      await run.settle(committed);
      last = commit;
      if (run.random.chance(0.1)) {
        await run.settle(environment.flushed);
        durable = commit;
      }
    }
    const kill = run.random.chance(0.3);
    if (kill) run.kill();
    else run.reboot();
    const left = [...run.system.openEnvironment('/disk1/index').openDB('numbers', BINARY).getKeys()];
    const shown = left[0]?.[0] ?? 0;
    if (left.length > 1 || shown > last + 1 || shown < (kill ? last : durable)) {
      t.fail(`seed ${seed}: after ${kill ? 'kill' : 'reboot'} ${shown} of ${durable} to ${last}`);
    }
    lost.add(kill ? `kill ${shown - last}` : shown === durable ? 'all' : shown >= last ? 'none' : 'some');
  }
  t.alike([...lost].sort(), ['all', 'kill 0', 'kill 1', 'none', 'some']);
});

test('a killed process leaves what was answered, and any part of what was not', async (t) => {
  const seen = new Set<number>();
  for (const seed of SEEDS) {
    const run = new MachineRun(seed, 1);
    const fd = await open(run, 'file');
    await run.settle(write(run, fd, 1, 0, 4 * SECTOR_BYTES));
    let answered = false;
    void write(run, fd, 2, 0, 4 * SECTOR_BYTES).then(() => {
      answered = true;
    });
    run.kill();
    await run.pass(1000);
    t.absent(answered);
    const left = await content(run, 'file');
    let sectors = 0;
    while (sectors < 4 && left[sectors * SECTOR_BYTES] === 2) sectors++;
    const expected = Buffer.alloc(4 * SECTOR_BYTES, 1).fill(2, 0, sectors * SECTOR_BYTES);
    if (!left.equals(expected)) t.fail(`seed ${seed}`);
    seen.add(sectors);
  }
  t.alike([...seen].sort(), [0, 1, 2, 3, 4]);
});

test('a disk that fills up, hangs, fails, is pulled out and goes back in time', async (t) => {
  const run = new MachineRun(SEED, 1, { capacityBytes: 64 * 1024 });
  const device = run.devices[0]!;
  const fd = await open(run, 'file');
  t.is(await run.settle(write(run, fd, 1, 0, 32 * 1024)), 32 * 1024);
  t.is(await run.settle(write(run, fd, 1, 32 * 1024, 64 * 1024)), 32 * 1024, 'as much as there is room for');
  t.is(await run.settle(codeOf(write(run, fd, 1, 64 * 1024, 512))), 'ENOSPC');
  t.is(await run.settle(write(run, fd, 2, 0, 512)), 512, 'no new block is needed');
  t.is(run.system.files.statfsSync('/disk1').bavail, 0);
  await run.settle(promised((done) => run.system.files.unlink('/disk1/file', done)));
  t.is(run.system.files.statfsSync('/disk1').bavail, 0, 'it is open');
  run.system.files.closeSync(fd);
  t.is(run.system.files.statfsSync('/disk1').bavail, 16);

  const other = await open(run, 'other');
  device.break('write', 'hang');
  let answered = false;
  const hanging = write(run, other, 1, 0, 512).then(() => {
    answered = true;
  });
  await run.pass(60_000);
  t.absent(answered);
  device.mend();
  await run.settle(hanging);

  device.break('read', 'EIO', 1);
  t.is(await codeOf(content(run, 'other')), 'EIO');
  t.is((await content(run, 'other'))[0], 1);

  const image = device.snapshot();
  await run.settle(write(run, other, 2, 0, 512));
  run.machine.remove('/disk1', run.random);
  t.is(await run.settle(codeOf(write(run, other, 3, 0, 512))), 'EIO');
  t.is(
    await run.settle(codeOf(promised<FilesystemStats>((done) => run.system.files.statfs('/disk1', done)))),
    'ENOENT',
  );
  t.alike(await namesIn(run, '/disk1'), [], 'the directory that it was mounted on is empty');
  device.mend();
  device.restore(image);
  run.machine.mount('/disk1', device);
  t.is((await content(run, 'other'))[0], 1);
  t.is(await run.settle(codeOf(write(run, other, 3, 0, 512))), 'EIO', 'what was open before is void');
});

test('a small write takes microseconds', async (t) => {
  const run = new MachineRun(SEED, 1);
  const fd = await open(run, 'file');
  const source = Buffer.alloc(512, 7);
  const writes = 50_000;
  const start = performance.now();
  let left = writes;
  await run.settle(
    new Promise<void>((resolve) => {
      const next = () => {
        if (left-- === 0) resolve();
        else run.system.files.write(fd, source, 0, 512, (left * 1536) % 4_000_000, next);
      };
      next();
    }),
  );
  const each = ((performance.now() - start) * 1000) / writes;
  t.ok(each < 100, `${each.toFixed(2)} µs a write`);
});

test('two runs of one seed are the same', async (t) => {
  const trace = async () => {
    const run = new MachineRun(SEED, 1);
    const operations = new FileOperations(new Random(SEED));
    const side: Side = { files: run.system.files, root: '/disk1', descriptors: new Map() };
    const answers: string[] = [];
    for (let count = 0; count < 500; count++) answers.push(await run.settle(operations.next()(side)));
    return `${answers.join('\n')} ${run.scheduler.nowMs} ${join('/', String(run.operations))}`;
  };
  t.is(await trace(), await trace());
});
