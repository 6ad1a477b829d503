/** The disks of a host over starts of its daemon. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Assertions, test } from 'brittle';
import { HostClock } from '../lib/cluster/host-clock.js';
import { HostsWatch } from '../lib/cluster/hosts-watch.js';
import { openLocal } from '../lib/coordination/local.js';
import { HostDisks } from '../lib/daemon/disks.js';
import type { Logger } from '../lib/daemon/log.js';
import { StateDirectory } from '../lib/daemon/state.js';
import { FamilyWatch } from '../lib/vdi/family-watch.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { until } from './helpers/until.js';

const TEST = { timeout: 60_000 };
const QUIET = { info() {}, debug() {}, warn() {}, error() {} } as unknown as Logger;

interface Start {
  readonly state: StateDirectory;
  readonly disks: HostDisks;
  close(): Promise<void>;
}

/** @param isRestart of the worker, under the same supervisor */
async function start(t: Assertions, root: string, isRestart: boolean): Promise<Start> {
  const state = StateDirectory.open(join(root, 'state'));
  const coordination = await openLocal(join(root, 'coordination'));
  const families = new FamilyWatch(coordination);
  const hosts = new HostsWatch(coordination);
  await families.open();
  await hosts.open();
  const disks = await HostDisks.open({
    ...{ state, coordination, clock: new HostClock(), hosts, network: null, layers: families, bootId: 'boot' },
    ...{ directories: [join(root, 'one'), join(root, 'two')], tolerant: isRestart, log: QUIET },
    ...{ name: 'h', zone: 'h', copies: 1, written: async () => {} },
  });
  await disks.start();
  let closing: Promise<void> | null = null;
  const end = async () => {
    await disks.close();
    families.close();
    hosts.close();
    state.close();
    await coordination.close();
  };
  const close = () => {
    closing ??= end();
    return closing;
  };
  t.teardown(close, { order: 5, force: true });
  return { state, disks, close };
}

/** Which disks have groups that restarted from what may lack what was not flushed. */
function lossy({ disks }: Start): number[] {
  const restarted = disks.cluster.groups.filter((group) => group.lossy > 0 && group.acting.length > 0);
  return [...new Set(restarted.flatMap(({ acting }) => acting))];
}

function epochs({ disks }: Start): number[] {
  return disks.cluster.groups.map((group) => group.lossy);
}

function isServed({ disks }: Start): boolean {
  return disks.cluster.groups.every(({ acting }) => acting.length > 0);
}

function stateOf({ disks }: Start, number: number): string | undefined {
  return disks.status().find((disk) => disk.number === number)?.state;
}

test('a disk whose failure nobody heard of comes back by a start alone, as one that rebooted', TEST, async (t) => {
  const root = await temporaryDirectory(t);
  for (const name of ['one', 'two']) await mkdir(join(root, name));
  const first = await start(t, root, false);
  const [failed, other] = first.disks.status().map(({ number }) => number) as [number, number];
  await until('both to have groups', () => [failed, other].every((disk) => first.disks.cluster.uses(disk)));
  await until('all groups to be served', () => isServed(first));
  t.alike(lossy(first), []);
  // The worker stored that, and ended before its report was heard.
  await first.state.host.storeFailedDisk(failed);
  await first.close();

  const second = await start(t, root, false);
  await until('what it has to be served again', () => lossy(second).length > 0 && isServed(second));
  t.alike(second.state.host.failedDisks, []);
  t.is(stateOf(second, failed), 'ok', 'it is taken back');
  t.alike(lossy(second), [failed], 'what it had not synced when it failed may be gone');
  const before = epochs(second);
  await second.close();

  const third = await start(t, root, false);
  await until('all groups to be served', () => isServed(third));
  t.alike(epochs(third), before, 'once');
});
