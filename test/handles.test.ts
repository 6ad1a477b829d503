/** The table of open files. */
import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'brittle';
import { Handles } from '../lib/filesystem/handles.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { smallFilesystem } from './helpers/disks.js';

let unique = 1n;
const request = (resent = false) => ({ unique: resent ? unique : ++unique, resent });

test('the next worker knows the handles and gives none of them again', async (t) => {
  const directory = await temporaryDirectory(t);
  const first = new Handles(directory, 'boot');
  const numbers = [first.add(17, 2, request(), 0), first.add(17, 0, request(), 0), first.add(18, 0, request(), 0)];
  t.is(first.add(18, 0, request(true), 0), numbers[2], 'a request that comes again finds its handle');
  t.is(first.remove(numbers[1]!), 17);
  t.is(first.remove(numbers[1]!), null, 'once');
  await first.close();

  const second = new Handles(directory, 'boot');
  t.is(second.size, 2);
  t.is(second.opens(17), 1);
  t.is(second.get(numbers[0]!)?.flags, 2);
  t.absent(numbers.includes(second.add(19, 0, request(), 0)));
  second.clear();
  t.is(second.size, 0);
  await second.close();
  const third = new Handles(directory, 'boot');
  t.teardown(() => third.close());
  t.is(third.size, 0, 'a new mount has none');
});

test('after a reboot the handles are gone and their numbers not given again', async (t) => {
  const directory = await temporaryDirectory(t);
  const before = new Handles(directory, 'boot');
  const number = before.add(17, 0, request(), 0);
  await before.close();
  // As a power cut may leave it.
  await writeFile(join(directory, 'boot-boot', 'data.mdb'), 'torn');
  const after = new Handles(directory, 'other-boot');
  t.teardown(() => after.close());
  t.is(after.size, 0);
  t.ok(after.add(17, 0, request(), 0) > number);
  t.absent(existsSync(join(directory, 'boot-boot')));
  t.is(readdirSync(directory).length, 2, 'one table and what is reserved');
});

test('without space an open is refused, a release is not', async (t) => {
  const directory = await smallFilesystem(t, 1);
  const handles = new Handles(directory, 'boot');
  const first = handles.add(17, 0, request(), 0);
  await writeFile(join(directory, 'filler'), Buffer.alloc(1024 * 1024)).catch((error) => t.is(error.code, 'ENOSPC'));
  let refused: { code?: string } = {};
  try {
    for (let count = 0; count < 10_000; count++) handles.add(18, 0, request(), 0);
  } catch (error) {
    refused = error as { code?: string };
  }
  t.is(refused.code, 'ENOSPC');
  t.is(handles.remove(first), 17);
  const { size } = handles;
  t.is(handles.opens(17), 0);
  await writeFile(join(directory, 'filler'), '');
  const last = handles.add(19, 0, request(), 0);
  t.is(handles.get(last)?.vdi, 19, 'with space it goes on');
  await handles.close();
  const again = new Handles(directory, 'boot');
  t.teardown(() => again.close());
  t.is(again.size, size + 1);
  t.is(again.get(first), undefined, 'what was released is not open');
});
