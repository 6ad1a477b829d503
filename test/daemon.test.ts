/** How the daemon starts, refuses to start, and ends. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { mountedAt, temporaryDirectory, trackMount, unmount } from './helpers/cleanup.js';
import { checksum, writeRandom } from './helpers/file-content.js';
import { listenForNotify } from './helpers/notify.js';
import { isRunning } from './helpers/proc.js';
import { must, type RunResult, run } from './helpers/run.js';
import { runSheep, spawnSheep, startSheep } from './helpers/sheep.js';
import { sleep, until } from './helpers/until.js';

const TIMEOUT = 120_000;
const NOBODY = '65534';

interface Place {
  base: string;
  mount: string;
  state: string;
  /** The options that name them. */
  args: string[];
}

/** Directories for a daemon that is to be refused. */
async function place(t: Assertions): Promise<Place> {
  const base = await temporaryDirectory(t);
  const mount = join(base, 'mount');
  const state = join(base, 'state');
  await mkdir(mount);
  trackMount(mount);
  t.teardown(() => unmount(mount), { force: true });
  return { base, mount, state, args: ['--mount', mount, '--state', state, '--control', join(base, 'sheep.sock')] };
}

/** Asserts that the daemon ended with this exit code and one line that matches. */
function assertRefused(t: Assertions, result: RunResult, status: number, pattern: RegExp): void {
  const lines = result.stderr.split('\n').filter((line) => line.trim());
  t.is(result.status, status, `exit code ${status}`);
  t.is(lines.length, 1, `one line: ${lines.join(' | ')}`);
  t.ok(pattern.test(lines[0] ?? ''), `that says ${pattern}`);
  t.absent(/\n\s+at |Error:.*\bat\b/.test(result.stderr), 'no stack');
}

/** Names, sizes and times of all that is below a directory; LMDB's lock files hold no data, and readers touch them. */
async function snapshot(directory: string): Promise<string> {
  const lockFiles = ['!', '-name', 'lock.mdb'];
  return (await must('find', [directory, '-xdev', ...lockFiles, '-printf', '%P %s %T@ %m\\n'])).stdout
    .split('\n')
    .sort()
    .join('\n');
}

/** A file system of its own at BASE/NAME. */
async function mountTmpfs(t: Assertions, path: string, options: string): Promise<string> {
  await mkdir(path, { recursive: true });
  trackMount(path);
  await must('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
  t.teardown(() => unmount(path), { order: 1, force: true });
  return path;
}

test('--help and --version', { timeout: TIMEOUT }, async (t) => {
  const help = await runSheep(['--help']);
  t.is(help.status, 0);
  for (const option of ['--mount', '--state', '--disk', '--control', '--fuse'])
    t.ok(help.stdout.includes(option), option);
  const version = await runSheep(['--version']);
  t.is(version.status, 0);
  t.ok(/\d+\.\d+\.\d+/.test(version.stdout));
});

test('an unknown option, a value that is none and a stray word are usage errors', { timeout: TIMEOUT }, async (t) => {
  const { args, base } = await place(t);
  const before = await snapshot(base);
  assertRefused(t, await runSheep([...args, '--mout', '/x']), 2, /--mout/);
  assertRefused(t, await runSheep([...args, '--fuse', 'magic']), 2, /magic/);
  assertRefused(t, await runSheep([...args, 'stray']), 2, /stray|argument/);
  assertRefused(t, await runSheep([...args, '--disk']), 2, /--disk/);
  t.is(await snapshot(base), before, 'nothing changed');
});

test('a bad configuration file is refused with the place of the mistake', { timeout: TIMEOUT }, async (t) => {
  const { args, base } = await place(t);
  const file = join(base, 'sheep.toml');
  const before = async (text: string) => {
    await writeFile(file, text);
    return snapshot(base);
  };
  for (const [text, pattern] of [
    ['mout = "/x"\n', /mout/],
    ['mount = 17\n', /mount/],
    ['mount = "/x\n', /sheep\.toml|line|toml/i],
  ] as const) {
    const then = await before(text);
    const result = await runSheep([...args, '--config', file]);
    t.ok(result.status === 1 || result.status === 2, `exit code ${result.status}`);
    assertRefused(t, result, result.status!, pattern);
    t.is(await snapshot(base), then, 'nothing changed');
  }
  assertRefused(t, await runSheep([...args, '--config', join(base, 'none.toml')]), 1, /none\.toml/);
});

test('without root it says so', { timeout: TIMEOUT }, async (t) => {
  const { args, base } = await place(t);
  await must('chown', ['-R', `${NOBODY}:${NOBODY}`, base]);
  const before = await snapshot(base);
  // The capability lets it read the program's own files, wherever they are.
  const drop = [
    'setpriv',
    ...['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups'],
    ...[
      '--inh-caps',
      '-all,+dac_read_search',
      '--ambient-caps',
      '-all,+dac_read_search',
      '--bounding-set',
      '-all,+dac_read_search',
    ],
  ];
  assertRefused(t, await runSheep(args, [...drop, '--']), 1, /root/);
  t.is(await snapshot(base), before, 'nothing changed');
});

test('a mount point that is a file is refused', { timeout: TIMEOUT }, async (t) => {
  const { args, base } = await place(t);
  const file = join(base, 'file');
  await writeFile(file, 'precious');
  assertRefused(t, await runSheep([...args, '--mount', file]), 1, /file.*(not a directory|directory)|directory/i);
  t.is(readFileSync(file, 'utf8'), 'precious');
});

test('a mount point where another file system is mounted is refused', { timeout: TIMEOUT }, async (t) => {
  const { args, base } = await place(t);
  const busy = await mountTmpfs(t, join(base, 'busy'), 'size=1m');
  await writeFile(join(busy, 'precious'), 'x');
  assertRefused(t, await runSheep([...args, '--mount', busy]), 1, /busy.*mounted|mounted.*busy/);
  t.alike(mountedAt(busy), ['tmpfs']);
  t.alike(await readdir(busy), ['precious']);
});

test('a state directory of a later version is refused and left as it is', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  await writeRandom(join(sheep.mount, 'vm1.img'), 1024 * 1024);
  t.is((await sheep.stop()).status, 0);
  const marks = (await must('grep', ['-rlIE', '"format": *[0-9]+', sheep.state])).stdout.trim().split('\n');
  t.ok(marks[0], 'the directory names its format');
  for (const mark of marks) {
    const text = await readFile(mark, 'utf8');
    await writeFile(mark, text.replace(/("format": *)\d+/, '$1999'));
    const before = await snapshot(sheep.state);
    const args = ['--mount', sheep.mount, '--state', sheep.state, '--control', sheep.control];
    assertRefused(t, await runSheep(args), 1, /999|version|format/);
    t.is(await snapshot(sheep.state), before, `${mark}: nothing changed`);
    await writeFile(mark, text);
  }
  const again = await startSheep(t, { state: sheep.state, mount: sheep.mount });
  t.alike(await readdir(again.mount), ['vm1.img'], 'and with its own format it starts');
});

test('a disk that cannot be written to is refused', { timeout: TIMEOUT }, async (t) => {
  const { args, base } = await place(t);
  const readOnly = await mountTmpfs(t, join(base, 'read-only'), 'size=8m,ro');
  assertRefused(t, await runSheep([...args, '--disk', readOnly]), 1, /read-only/);

  const full = await mountTmpfs(t, join(base, 'full'), 'size=1m');
  t.is((await run('dd', ['if=/dev/zero', `of=${join(full, 'foreign')}`, 'bs=64k'])).status, 1);
  assertRefused(t, await runSheep([...args, '--disk', full]), 1, /full|space/i);
  t.alike(await readdir(full), ['foreign'], 'nothing is left on it');

  const file = join(base, 'file');
  await writeFile(file, 'precious');
  assertRefused(t, await runSheep([...args, '--disk', file]), 1, /file.*directory|directory.*file/);
  t.is(readFileSync(file, 'utf8'), 'precious');
});

test('a second daemon on the same state or the same mount is refused', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  const { args, base } = await place(t);
  const image = join(sheep.mount, 'vm1.img');
  await writeRandom(image, 1024 * 1024);
  const sum = await checksum(image);

  assertRefused(t, await runSheep([...args, '--state', sheep.state]), 1, /in use|running|another/);
  assertRefused(t, await runSheep([...args, '--mount', sheep.mount]), 1, /mount/);
  assertRefused(t, await runSheep([...args, '--control', sheep.control]), 1, /sheep\.sock|in use|running/);
  t.alike(mountedAt(join(base, 'mount')), [], 'nothing is mounted');

  t.is(await checksum(image), sum, 'the first goes on');
  const own = await startSheep(t);
  t.alike(await readdir(own.mount), [], 'a second one with places of its own starts');
});

test('SIGTERM unmounts and ends with 0, also when files are open', { timeout: TIMEOUT }, async (t) => {
  for (const open of [false, true]) {
    const sheep = await startSheep(t);
    const image = join(sheep.mount, 'vm1.img');
    await writeRandom(image, 3 * 1024 * 1024);
    const sum = await checksum(image);
    const holder = open ? run('sh', ['-c', 'exec 3<"$0"; read line; :', image], { deadlineMs: 60_000 }) : null;
    const end = await sheep.stop();
    t.is(end.status, 0, open ? 'with a file open' : 'with none open');
    t.absent(sheep.isMounted());
    await holder;
    const again = await startSheep(t, { state: sheep.state, mount: sheep.mount });
    t.is(await checksum(image), sum);
    t.is((await again.stop()).status, 0);
  }
});

test('SIGINT ends it as well, and no process is left', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  const worker = await sheep.workerPid();
  process.kill(sheep.pid, 'SIGINT');
  t.is((await sheep.ended).status, 0);
  t.absent(isRunning(worker));
  t.absent(existsSync(sheep.control), 'the control socket is gone');
});

test('what a killed daemon left is cleaned up at the next start', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  const image = join(sheep.mount, 'vm1.img');
  await writeRandom(image, 2 * 1024 * 1024);
  await must('sync', [image]);
  const sum = await checksum(image);
  const worker = await sheep.workerPid();
  await sheep.killSupervisor();
  t.is(await checksum(image), sum, 'without its supervisor the worker goes on serving');
  const second = ['--state', sheep.state, '--mount', `${sheep.mount}2`, '--control', `${sheep.control}2`];
  assertRefused(t, await runSheep(second), 1, /in use/);
  process.kill(worker, 'SIGKILL');
  await until('the worker to end', () => !isRunning(worker));
  t.ok(sheep.isMounted(), 'the dead mount is left');
  t.is((await run('ls', [sheep.mount])).status, 2, 'and of no use');

  const again = await startSheep(t, { state: sheep.state, mount: sheep.mount, control: sheep.control });
  t.is(mountedAt(sheep.mount).length, 1, 'one mount');
  t.is(await checksum(image), sum);
  t.is((await again.stop()).status, 0);
  t.absent(sheep.isMounted());
});

test('a worker without its supervisor ends cleanly when it is told to', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  await writeRandom(join(sheep.mount, 'vm1.img'), 1024 * 1024);
  const worker = await sheep.workerPid();
  await sheep.killSupervisor();
  process.kill(worker, 'SIGTERM');
  await until('the worker to end', () => !isRunning(worker));
  t.absent(sheep.isMounted());
});

test('a worker that dies at once again and again is started ever less often, with the reason', {
  timeout: TIMEOUT,
}, async (t) => {
  const sheep = await startSheep(t);
  const started = performance.now();
  let starts = 0;
  const seen = new Set<number>([await sheep.workerPid()]);
  process.kill([...seen][0]!, 'SIGKILL');
  // Killed before it is of use, however often it is started.
  while (performance.now() - started < 8000) {
    const pid = await sheep.workerPid().catch(() => null);
    if (pid === null || seen.has(pid)) {
      await sleep(2);
      continue;
    }
    seen.add(pid);
    starts++;
    process.kill(pid, 'SIGKILL');
  }
  t.ok(starts >= 2, `${starts} starts in 8 s`);
  t.ok(starts <= 12, 'not a busy loop');
  const said = sheep.lines.filter((line) => /SIGKILL/.test(line));
  t.ok(said.length >= starts && said.length <= starts + 2, `a line for each: ${said.at(-1)}`);
  t.ok(isRunning(sheep.pid), 'the supervisor lives');

  await until('the mount to answer again', async () => (await run('ls', [sheep.mount])).status === 0, 60_000);
  t.is((await sheep.stop()).status, 0);
});

test('systemd is told when the mount is usable', { timeout: TIMEOUT }, async (t) => {
  const socket = join(await temporaryDirectory(t), 'notify');
  const heard = await listenForNotify(t, socket);
  const sheep = await spawnSheep(t, { env: { NOTIFY_SOCKET: socket } });
  await until('READY=1', () => heard().includes('READY=1'), 20_000);
  t.ok(sheep.isMounted(), 'it is mounted by then');
  t.alike(await readdir(sheep.mount), [], 'and answers');
  t.is((await sheep.stop()).status, 0);
  t.ok(heard().includes('STOPPING=1'), 'and when it stops');
});
