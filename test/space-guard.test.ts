import { test } from 'brittle';
import type { ClusterMap, MapDisk } from '../lib/cluster/cluster-map.js';
import type { Change } from '../lib/replication/messages.js';
import { SpaceGuard } from '../lib/replication/space-guard.js';
import type { Answers, Writer } from '../lib/replication/writer.js';
import { CHAIN, COPIES, mapOf, write } from './helpers/member-script.js';

/** A writer whose members answer by what a test says of them; what they are asked is noted. */
class Looks {
  /** Disks on which the index needs room. */
  needs = new Set<number>();
  asked: string[] = [];

  async look(_chain: unknown, index: number, change: Change, only: number): Promise<Answers | null> {
    this.asked.push(`${index} ${change.kind === 'room' ? change.use : change.kind} ${only}`);
    return new Map([[only, this.needs.has(only)]]);
  }

  get writer(): Writer {
    return this as unknown as Writer;
  }

  get notes(): string {
    return this.asked.splice(0).join(', ');
  }
}

function world(...full: number[]) {
  const world = {
    full,
    looks: new Looks(),
    get map(): ClusterMap {
      const map = mapOf(2);
      const disks = Object.entries(map.disks).map(([number, disk]): [string, MapDisk] => {
        return [number, this.full.includes(Number(number)) ? { ...disk, room: 'none' } : { ...disk, room: 'scarce' }];
      });
      return { ...map, disks: Object.fromEntries(disks) };
    },
  };
  const isFull = (disk: number) => world.map.disks[disk]?.room === 'none';
  const guard = new SpaceGuard({ copies: COPIES, map: () => world.map, pgOf: (_, index) => index % 4, isFull });
  const before = (index: number, change: Change) => guard.before(world.looks.writer, CHAIN, index, change);
  return { world, before };
}

const DISCARD: Change = { kind: 'discard', offset: 0, length: 512 };

test('a change that needs room on a full member is refused before it is sent', async (t) => {
  const { world: w, before } = world(2);
  w.looks.needs.add(2).add(3);
  const refused = before(0, write(0, 512));
  await t.exception(refused!, /disk 2 is full/);
  t.is(w.looks.notes, '0 write 2', 'only who is full is asked');
  t.is((await refused!.catch((error) => error)).code, 'ENOSPC');
  await t.exception(before(0, { kind: 'allocate', end: 512 })!, /disk 2 is full/);
  w.full = [4];
  t.is(before(0, write(0, 512)), null, "a full disk that is no member is in nobody's way");
  w.full = [];
  t.is(before(0, write(0, 512)), null, 'it goes on when there is space again');
});

test('what needs no room goes on, and is asked about once', async (t) => {
  const { world: w, before } = world(2, 3);
  await before(0, write(0, 512));
  t.is(w.looks.notes, '0 write 2, 0 write 3');
  t.is(before(0, write(4096, 512)), null);
  t.ok(before(1, write(0, 512)), 'of another index nothing is known');
  await before(0, DISCARD);
  w.looks.notes;
  await before(0, write(0, 512));
  t.is(w.looks.notes, '0 write 2, 0 write 3', 'after a discard it may need some');
  t.is(before(0, { kind: 'cut', length: 512 }), null);
  t.is(
    before(0, {
      kind: 'equal',
      eras: [],
      layer: 1,
      shape: { kind: 'nothing' },
      within: { offset: 0, length: 512 },
      blocks: [],
    }),
    null,
  );
});

test('another writer begins anew, and a disk that got room meanwhile is not refused', async (t) => {
  const { world: w, before } = world(2);
  await before(0, write(0, 512));
  w.looks = new Looks();
  w.looks.needs.add(2);
  const asked = before(0, write(0, 512))!;
  t.is(w.looks.notes, '0 write 2');
  w.full = [];
  await asked;
});
