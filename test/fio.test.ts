/** Many verified reads and writes at once, and what they see of a worker that dies under them. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { type FioOptions, fio, longestMs, tryFio } from './helpers/fio.js';
import { qemuIo } from './helpers/qemu.js';
import { must } from './helpers/run.js';
import { type Sheep, startSheep } from './helpers/sheep.js';
import { sleep, until } from './helpers/until.js';

const TIMEOUT = 240_000;
const KILLS = 20;
/** No guest may see a longer pause than this when a worker dies, ... */
const PAUSE_MS_MAX = 2000;
/** ... or, on a slower machine, than so many restarts as they take there: some workers are killed while they start. */
const RESTARTS_PER_PAUSE_MAX = 3;

const VERIFY: FioOptions = {
  direct: 1,
  ioengine: 'libaio',
  verify: 'crc32c',
  verify_fatal: 1,
  // The state file would be written into the current directory.
  verify_state_save: 0,
};

const WORKLOADS: Record<string, FioOptions> = {
  '4 KiB random writes': { rw: 'randwrite', bs: '4k', size: '64m', iodepth: 16 },
  'writes of every size from 512 bytes to 256 KiB': {
    rw: 'randwrite',
    bsrange: '512-256k',
    size: '64m',
    iodepth: 8,
  },
  '1 MiB sequential writes': { rw: 'write', bs: '1m', size: '128m', iodepth: 4 },
  'mixed reads and writes': { rw: 'randrw', bs: '8k', size: '48m', iodepth: 16 },
  'writes with a flush each': { rw: 'randwrite', bs: '4k', size: '4m', iodepth: 1, fsync: 1 },
};

for (const [name, options] of Object.entries(WORKLOADS)) {
  test(`fio verifies ${name}`, { timeout: TIMEOUT }, async (t) => {
    const { mount } = await startSheep(t);
    const job = await fio({ ...VERIFY, ...options, filename: join(mount, 'vm1.img') });
    t.is(job.error, 0);
    t.ok(job.write.io_bytes > 0, `${job.write.total_ios} writes`);
    t.ok(job.read.io_bytes >= job.write.io_bytes, 'everything was read back');
  });
}

test('fio sees a wrong byte, so that the tests of this file can fail', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  const filename = join(mount, 'vm1.img');
  const options = { ...VERIFY, rw: 'randwrite', bs: '4k', size: '4m', iodepth: 4, filename };
  await fio(options);
  await qemuIo(filename, ['write -P 0xee 1049600 512']);
  const { status, output } = await tryFio({ ...options, verify_only: true });
  t.not(status, 0);
  t.ok(/verify failed at file/.test(output));
});

test('buffered and mapped writes from several processes are all there', { timeout: TIMEOUT }, async (t) => {
  const { mount } = await startSheep(t);
  for (const ioengine of ['psync', 'mmap']) {
    const job = await fio({
      ...VERIFY,
      direct: 0,
      ioengine,
      rw: 'randwrite',
      bs: '4k',
      size: '8m',
      numjobs: 3,
      group_reporting: true,
      directory: mount,
      filename_format: `${ioengine}-$jobnum.img`,
    });
    t.is(job.error, 0, ioengine);
    t.is((await stat(join(mount, `${ioengine}-2.img`))).size, 8 * 1024 * 1024);
  }
});

test(`nothing is lost when the worker is killed ${KILLS} times under load`, { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  const filename = join(sheep.mount, 'vm1.img');
  const options = { ...VERIFY, rw: 'randwrite', bs: '4k', size: '96m', iodepth: 16, filename };
  // A first generation of every block, so that a lost write shows as an old block and not as zeros.
  await fio({ ...options, randseed: 1, do_verify: 0 });

  let kills = 0;
  let longest = 0;
  const restarts: number[] = [];
  const killer = (async () => {
    let last: number | undefined;
    let served = 0;
    let killedMs = 0;
    while (kills < KILLS) {
      last = await sheep.workerPid(last);
      // Every fifth at any moment of its start. The others while they serve: on a slow machine a short time after the
      // start would always be within it, and workers that never get to serve are started ever more slowly.
      if (kills % 5 !== 4) {
        await until('the worker to serve', () => starts(sheep) > served, 20_000);
        if (kills > 0) restarts.push(performance.now() - killedMs);
      }
      await sleep(Math.random() * 1200);
      served = starts(sheep);
      process.kill(last, 'SIGKILL');
      killedMs = performance.now();
      kills++;
    }
  })();
  let round = 0;
  do {
    round++;
    const job = await fio({ ...options, randseed: 1000 + round });
    longest = Math.max(longest, longestMs(job));
    t.is(job.error, 0, `round ${round}: every block is as written, ${kills} kills so far`);
  } while (kills < KILLS);
  await killer;
  t.is(kills, KILLS);
  const usual = restarts.sort((a, b) => a - b)[restarts.length >> 1]!;
  const took = `the longest pause was ${Math.round(longest)} ms, a restart usually took ${Math.round(usual)} ms`;
  t.ok(longest < Math.max(PAUSE_MS_MAX, RESTARTS_PER_PAUSE_MAX * usual), took);

  // The last round again, now from a daemon that started anew.
  const { status, signal } = await sheep.stop();
  t.is(status, 0, `SIGTERM ends it cleanly (${signal ?? 'no signal'})`);
  t.absent(sheep.isMounted(), 'and unmounts');
  const again = await startSheep(t, { state: sheep.state });
  const verified = await fio({
    ...options,
    randseed: 1000 + round,
    verify_only: true,
    filename: join(again.mount, 'vm1.img'),
  });
  t.is(verified.error, 0, 'every block is still as written');
});

test('names, sizes and locks in the making survive a killed worker', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  let going = true;
  const killer = (async () => {
    for (let served = 0; going; ) {
      // From when it serves: one that never gets that far is started ever more slowly, which another test is about.
      await until('the worker to serve', () => starts(sheep) > served, 20_000);
      await sleep(Math.random() * 400);
      served = starts(sheep);
      process.kill(await sheep.workerPid(), 'SIGKILL');
    }
  })();
  for (let round = 0; round < 40; round++) {
    const path = (name: string) => join(sheep.mount, `${name}-${round}.img`);
    await must('qemu-img', ['create', '-f', 'raw', path('a'), '8M']);
    await must('truncate', ['-s', '12M', path('a')]);
    await must('cp', [path('a'), path('b')]);
    await must('mv', [path('a'), path('c')]);
    await must('rm', [path('b')]);
    const { size } = await stat(path('c'));
    if (size !== 12 * 1024 * 1024) t.fail(`round ${round}: ${size} bytes`);
  }
  going = false;
  await killer;
  const { stdout } = await must('ls', [sheep.mount]);
  t.is(stdout.trim().split('\n').length, 40, 'each image is there once');
  t.is((await sheep.stop()).status, 0);
});

/** How many workers have come to serve so far. */
function starts(sheep: Sheep): number {
  return sheep.lines.filter((line) => /ready/.test(line)).length;
}
