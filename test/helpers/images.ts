/** Images over objects in memory and a store of their own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Assertions } from 'brittle';
import type { AllDisks } from '../../lib/cluster/all-disks.js';
import { HostClock } from '../../lib/cluster/host-clock.js';
import { openLocal } from '../../lib/coordination/local.js';
import { FamilyWatch } from '../../lib/vdi/family-watch.js';
import type { Vdi } from '../../lib/vdi/vdi.js';
import { Vdis } from '../../lib/vdi/vdis.js';
import { LocalImages } from './local-images.js';
import { MemoryObjects } from './memory-objects.js';

export async function openImages(t: Assertions, objects = new MemoryObjects()) {
  const directory = await mkdtemp(join(tmpdir(), 'sheep-vdi-'));
  const coordination = await openLocal(directory);
  const open = new Set<number>();
  const failures: unknown[] = [];
  const families = new FamilyWatch(coordination);
  await families.open();
  const make = () =>
    new Vdis({
      ...{ coordination, host: 'h', clock: new HostClock(), families, allDisks: onlyDisk },
      objects: new LocalImages(objects, coordination),
      isOpen: (id) => open.has(id),
      onError: (error) => failures.push(error),
    });
  const vdis = make();
  t.teardown(async () => {
    await vdis.close();
    families.close();
    await coordination.close();
    await rm(directory, { recursive: true });
  });
  const create = async (name: string, size = 0): Promise<Vdi> => {
    const record = await vdis.create(name, { size, mode: 0o644, uid: 0, gid: 0, copies: 1 });
    return vdis.load(record.id);
  };
  return { vdis, objects, coordination, families, open, failures, create, make };
}

/** What LocalImages has for disks. */
export async function onlyDisk(): Promise<AllDisks> {
  return { numbers: [0], compare: [] };
}

export async function contents(vdi: Vdi, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length, 0xee);
  const bytes = await vdi.read(offset, buffer);
  return buffer.subarray(0, bytes);
}
