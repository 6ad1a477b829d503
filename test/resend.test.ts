/** The worker is killed while names, attributes and locks change: every call ends as if nothing had been. */
import { constants } from 'node:fs';
import { open, readdir, readFile, rename, stat, truncate, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { runDog, type Sheep, startSheep } from './helpers/sheep.js';
import { syscalls } from './helpers/syscalls.js';
import { sleep, until } from './helpers/until.js';

const TIMEOUT = 240_000;
const KILLS = 8;
const CLIENTS = 4;
/** Between a worker's readiness and its end: longer from kill to kill, to meet all kinds of calls. */
const KILL_AFTER_MS = 60;
const BEFORE_THE_DAEMON = { order: -1, force: true };
const { O_RDWR, O_CREAT, O_EXCL } = constants;

/** Kills the worker so many times, and then tells that it is enough. */
async function killAgainAndAgain(sheep: Sheep, done: () => void): Promise<void> {
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(KILL_AFTER_MS * (kill + 1));
    const from = sheep.lines.length;
    await sheep.killWorker();
    await sheep.waitFor(/ready again/, { from });
  }
  done();
}

/** The life of an image, in calls of which each must be carried out exactly once. */
async function live(t: Assertions, directory: string, name: string): Promise<void> {
  const [path, other] = [join(directory, name), join(directory, `${name}-other`)];
  const file = await open(path, O_RDWR | O_CREAT | O_EXCL, 0o640);
  try {
    await file.write(Buffer.from('content'), 0, 7, 10);
    await file.chmod(0o600);
    await rename(path, other);
    await truncate(other, 12);
    const { size, mode, nlink } = await file.stat();
    if (size !== 12 || (mode & 0o777) !== 0o600 || nlink !== 1) t.fail(`${name}: size ${size}, mode ${mode}`);
    const content = (await readFile(other)).subarray(10).toString();
    if (content !== 'co') t.fail(`${name}: ${content}`);
  } finally {
    await file.close();
  }
  await unlink(other);
  const gone = await stat(other).then(
    () => 'there',
    (error) => error.code,
  );
  if (gone !== 'ENOENT') t.fail(`${name}: ${gone}`);
}

test('names and attributes change while the worker is killed', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  let enough = false;
  const killing = killAgainAndAgain(sheep, () => {
    enough = true;
  });
  let lives = 0;
  const client = async (number: number) => {
    for (let round = 0; !enough; round++) {
      await live(t, sheep.mount, `image-${number}-${round}`);
      lives++;
    }
  };
  await Promise.all([killing, ...Array.from({ length: CLIENTS }, (_, number) => client(number))]);
  t.ok(lives > 0, `${lives} images came and went`);
  t.alike(await readdir(sheep.mount), [], 'none is left');
  await (await open(join(sheep.mount, 'last'), 'w')).close();
  await until('the image to be closed', async () => {
    const images = JSON.parse((await runDog(sheep, ['vdi', 'list', '--json'])).stdout);
    return images.length === 1 && images[0].opens === 0;
  });
  t.is((await sheep.stop()).status, 0);
  t.alike(
    sheep.lines.filter((line) => /defect|failed/.test(line)),
    [],
  );
});

test('locks and attributes of a name survive the worker', { timeout: TIMEOUT }, async (t) => {
  const sheep = await startSheep(t);
  const path = join(sheep.mount, 'image');
  await (await open(path, 'w')).close();
  const [one, two] = [
    await syscalls().call('open', { path, flags: O_RDWR }),
    await syscalls().call('open', { path, flags: O_RDWR }),
  ];
  t.teardown(async () => {
    for (const fd of [one, two]) await syscalls().call('close', { fd });
  }, BEFORE_THE_DAEMON);
  const lock = (fd: number, command: 'set' | 'get', type: 'write' | 'unlock') =>
    syscalls().call('lock', { fd, kind: 'ofd', command, type, start: 0, length: 10 });
  let enough = false;
  const killing = killAgainAndAgain(sheep, () => {
    enough = true;
  });
  let rounds = 0;
  while (!enough) {
    await lock(one, 'set', 'write');
    const refused = await lock(two, 'set', 'write').catch((error) => error.code);
    const found = await lock(two, 'get', 'write');
    if (refused !== 'EAGAIN' || found?.type !== 'write') t.fail(`round ${rounds}: ${refused}, ${found?.type}`);
    await lock(one, 'set', 'unlock');
    if ((await lock(two, 'get', 'write'))?.type !== 'unlock') t.fail(`round ${rounds}: still locked`);
    rounds++;
  }
  await killing;
  t.ok(rounds > 0, `${rounds} rounds`);
});
