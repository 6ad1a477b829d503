import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'brittle';
import { type GroupLayout, listGroup } from '../lib/store/group-list.js';
import { newDisk, openDisk } from './helpers/disks.js';
import { fillIndex } from './helpers/large-index.js';

/** 10 TiB in objects of 4 MiB. */
const OBJECTS = 2_621_440;
const FAMILIES = 26;
const GROUPS = 1024;
const ACTIVE = 1024;

const OPEN_SECONDS_MAX = 5;
const MEMORY_BYTES_MAX = 200 * 1024 ** 2;
/** Of CPU, for one group of 1,024; 0.02 to 0.07 s were seen. */
const LIST_SECONDS_MAX = 1;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What the process has of its own; pages of the index that the kernel keeps are not its own. */
function memory(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const LAYOUT: GroupLayout = {
  groupCount: GROUPS,
  groupOf: (family, index) => (family * 7 + index) % GROUPS,
  has: () => true,
};

test('a disk of 10 TiB opens quickly, and costs little memory', { timeout: 240_000 }, async (t) => {
  const first = await newDisk(t, { replicated: true });
  await fillIndex(first, FAMILIES, OBJECTS);
  for (const copies of [1, 2, 3]) {
    await first.groups.setInsync(
      Array.from({ length: GROUPS }, (_, pg) => ({ copies, pg })),
      5,
    );
  }
  await first.index.commit(() => {
    for (let index = 0; index < ACTIVE; index++) {
      const record = { vdi: 9, generation: 1, sequence: index, modified: 3 };
      first.index.putActive(1, index, 1, record);
    }
  });
  await first.close();
  const { directory } = first;

  const before = memory();
  const startedMs = performance.now();
  const disk = await openDisk(t, directory, { replicated: true });
  const seconds = (performance.now() - startedMs) / 1000;
  const bytes = memory() - before;
  t.is(disk.index.objects, OBJECTS);
  t.is(disk.layers.get(1, 1)?.active.size, ACTIVE);
  t.comment(`opened in ${seconds.toFixed(2)} s, ${(bytes / 1024 ** 2).toFixed(1)} MiB`);
  t.ok(seconds < OPEN_SECONDS_MAX);
  t.ok(bytes < MEMORY_BYTES_MAX);

  let listed = 0;
  const cpu = cpuSeconds();
  for (const pg of [5, 500, 1000]) for await (const entries of listGroup(disk, LAYOUT, pg)) listed += entries.length;
  const each = (cpuSeconds() - cpu) / 3;
  t.comment(`a group is listed in ${each.toFixed(3)} s of CPU`);
  t.ok(Math.abs(listed - (3 * OBJECTS) / GROUPS) < 3 * FAMILIES, `${listed} entries`);
  t.ok(each < LIST_SECONDS_MAX);
});
