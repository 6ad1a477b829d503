import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Assertions, test } from 'brittle';
import { open as openDatabase } from 'lmdb';
import { openLocal } from '../lib/coordination/local.js';
import { bytes, coordinationSuite, text } from './helpers/coordination-suite.js';

const WRITER = fileURLToPath(new URL('./helpers/coordination-writer.js', import.meta.url));

async function directoryFor(t: Assertions): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sheepdog-coordination-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }), { order: 2 });
  return directory;
}

coordinationSuite('local', async (t) => {
  const store = await openLocal(join(await directoryFor(t), 'store'));
  t.teardown(() => store.close(), { order: 1 });
  return store;
});

test('local: all is there after it is closed and opened', async (t) => {
  const directory = await directoryFor(t);
  const store = await openLocal(directory);
  await store.transaction({ success: [{ put: '/a', value: bytes('one') }] });
  const { revision } = await store.transaction({ success: [{ put: '/a', value: bytes('two') }] });
  await store.close();
  const again = await openLocal(directory);
  t.teardown(() => again.close(), { order: 1 });
  t.is(await again.revision(), revision);
  const a = await again.get('/a');
  t.alike([text(a?.value), a?.modRevision, a?.version], ['two', revision, 2]);
});

test('local: closing waits for the transactions under way', async (t) => {
  const directory = await directoryFor(t);
  const store = await openLocal(directory);
  const started = Array.from({ length: 20 }, (_, i) =>
    store.transaction({ success: [{ put: `/k/${i}`, value: bytes('x') }] }),
  );
  const closed = store.close();
  await Promise.all(started);
  await closed;
  const again = await openLocal(directory);
  t.teardown(() => again.close(), { order: 1 });
  t.is((await again.range('/k/')).length, 20);
});

test('local: kill -9 in the middle of transactions loses none that was answered and halves none', async (t) => {
  const directory = await directoryFor(t);
  let from = 0;
  for (let round = 0; round < 4; round++) {
    const answered = await writeAndKill(directory, from, 40 + round * 35);
    const store = await openLocal(directory);
    const left = (await store.range('/left/')).map((found) => [text(found.value), found.modRevision]);
    const right = (await store.range('/right/')).map((found) => [text(found.value), found.modRevision]);
    t.alike(left, right, 'each transaction is there whole or not at all');
    const present = new Set(left.map(([value]) => Number(value)));
    t.alike(
      answered.filter((number) => !present.has(number)),
      [],
      `all of ${answered.length} answered are there`,
    );
    t.is(await store.revision(), 1 + present.size, 'one revision each');
    from = Math.max(...present) + 1;
    await store.close();
  }
});

/** Answers the numbers that the writer printed before it was killed, at least `count` of them. */
async function writeAndKill(directory: string, from: number, count: number): Promise<number[]> {
  const writer = spawn(process.execPath, [WRITER, directory, String(from)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const chunk of writer.stdout) {
    output += chunk;
    if (output.split('\n').length > count) writer.kill('SIGKILL');
  }
  if (writer.signalCode === null && writer.exitCode === null) await new Promise((done) => writer.once('exit', done));
  if (writer.signalCode !== 'SIGKILL') throw new Error(`the writer ended by itself, code ${writer.exitCode}`);
  const lines = output.split('\n');
  return lines.slice(0, -1).map(Number);
}

test('local: a store of a newer release is refused, and left alone', async (t) => {
  const directory = await directoryFor(t);
  await (await openLocal(directory)).close();
  await changeFormat(directory, '7');
  try {
    await openLocal(directory);
    t.fail('it was opened');
  } catch (error) {
    t.is((error as { code?: string }).code, 'WRONG_FORMAT');
    t.ok(/format 7\b/.test((error as Error).message), (error as Error).message);
  }
  await changeFormat(directory, '1');
  const store = await openLocal(directory);
  t.teardown(() => store.close(), { order: 1 });
  t.is(await store.revision(), 1);
});

async function changeFormat(directory: string, format: string): Promise<void> {
  const database = openDatabase<Buffer, Buffer>({
    path: directory,
    noSubdir: false,
    keyEncoding: 'binary',
    encoding: 'binary',
  });
  await database.put(Buffer.from('\0format'), Buffer.from(format));
  await database.flushed;
  await database.close();
}

test('local: a directory that holds something else is refused', async (t) => {
  const other = await directoryFor(t);
  const database = openDatabase<Buffer, Buffer>({
    path: other,
    noSubdir: false,
    keyEncoding: 'binary',
    encoding: 'binary',
  });
  await database.put(Buffer.from('x'), Buffer.from('y'));
  await database.close();
  const garbage = await directoryFor(t);
  await writeFile(join(garbage, 'data.mdb'), Buffer.alloc(65536, 'not a database'));
  const short = await directoryFor(t);
  await writeFile(join(short, 'data.mdb'), 'a line');
  for (const directory of [other, garbage, short]) {
    try {
      await openLocal(directory);
      t.fail('it was opened');
    } catch (error) {
      t.is((error as { code?: string }).code, 'WRONG_FORMAT', (error as Error).message);
    }
  }
});

test('local: a store whose making was broken off is made anew', async (t) => {
  const directory = await directoryFor(t);
  await writeFile(join(directory, 'data.mdb'), '');
  const store = await openLocal(directory);
  t.teardown(() => store.close(), { order: 1 });
  t.is(await store.revision(), 1);
});

const notRoot = process.getuid?.() !== 0;
test('local: a full disk fails a transaction whole, and later ones go on', { skip: notRoot }, async (t) => {
  const directory = await directoryFor(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', directory]);
  t.teardown(() => execFileSync('umount', [directory]), { order: 1 });
  const store = await openLocal(join(directory, 'store'));
  t.teardown(() => store.close(), { order: 0 });
  let events = 0;
  const watch = store.watch('/big/', () => events++);
  const value = new Uint8Array(10_000);
  let done = 0;
  for (let failed = 0; failed < 3; ) {
    const put = [0, 1].map((half) => ({ put: `/big/${done}-${half}`, value }));
    try {
      await store.transaction({ success: put });
      done++;
    } catch (error) {
      failed++;
      t.ok(/could not be written/.test((error as Error).message), (error as Error).message);
    }
  }
  t.ok(done > 5, `${done} fitted`);
  t.is((await store.range('/big/')).length, 2 * done, 'the failed ones left nothing');
  t.is(events, done, 'and were not announced');
  t.is(await store.revision(), 1 + done);
  watch.close();
  await store.transaction({ success: [{ deletePrefix: '/big/' }] });
  t.is((await store.transaction({ success: [{ put: '/big/again', value }] })).revision, 3 + done);
});
