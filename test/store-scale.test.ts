import { fileURLToPath } from 'node:url';
import { test } from 'brittle';
import { OBJECT_BYTES } from '../lib/store/constants.js';
import { NO_END, OBJECT } from '../lib/store/entry.js';
import { Disk } from '../lib/store/index.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { IDENTITY } from './helpers/disks.js';
import { must } from './helpers/run.js';

/** A quarter of what a host with 10 TiB has, which may take 200 MiB and 5 s. */
const OBJECTS = (10 * 1024 ** 4) / OBJECT_BYTES / 4;
const MEMORY_BYTES = (200 * 1024 ** 2) / 4;
const OPEN_MS = 5000 / 4;
const FAMILIES = 40;
const BATCH = 4096;

const OPENER = fileURLToPath(new URL('helpers/open-disk.js', import.meta.url));

test('a disk of many objects is opened in no time, and takes hardly any memory', { timeout: 120_000 }, async (t) => {
  const directory = await temporaryDirectory(t);
  await Disk.format(directory, { ...IDENTITY, disk: 1 });
  const disk = await Disk.open(directory, {}, { replicated: true });
  let serial = 1;
  for (let family = 1; family <= FAMILIES; family++) {
    for (let from = 0; from < OBJECTS / FAMILIES; from += BATCH) {
      await disk.index.commit(() => {
        for (let index = from; index < Math.min(OBJECTS / FAMILIES, from + BATCH); index++) {
          disk.index.put(family, index, 1, { kind: OBJECT, serial: serial++, modified: 3, end: NO_END }, 8192);
        }
      });
    }
  }
  await disk.close();

  // In a process of its own: this one has used much memory already.
  const { stdout } = await must(process.execPath, ['--expose-gc', OPENER, directory]);
  const { objects, milliseconds, bytes } = JSON.parse(stdout);
  t.is(objects, OBJECTS);
  t.ok(milliseconds < OPEN_MS, `opened in ${milliseconds} ms`);
  t.ok(bytes < MEMORY_BYTES, `with ${bytes} bytes more memory`);
});
