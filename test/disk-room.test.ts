import { test } from 'brittle';
import { DiskRoom } from '../lib/replication/disk-room.js';
import type { SpaceState } from '../lib/store/space.js';

const RESERVE = 100;

test('a disk says at once that it has less room, and that it has more only when it is clearly more', (t) => {
  const room = new DiskRoom();
  const at = (free: number, state: SpaceState) => room.update({ total: 5000, free, reserve: RESERVE, state });
  t.is(at(1000, 'ok'), 'ample');
  t.is(at(199, 'low'), 'scarce');
  t.is(at(210, 'ok'), 'scarce');
  t.is(at(225, 'ok'), 'ample');
  // What is about to be written is reckoned with by the state.
  t.is(at(150, 'full'), 'none');
  t.is(at(110, 'low'), 'none');
  t.is(at(125, 'low'), 'scarce');
  t.is(at(99, 'full'), 'none');
  t.is(at(220, 'ok'), 'scarce', 'step by step');
  t.is(at(99, 'full'), 'none');
  t.is(at(1000, 'ok'), 'ample');
});
