import type { Room } from '../cluster/alive-record.js';
import type { SpaceReport, SpaceState } from '../store/space.js';

const ROOMS: Readonly<Record<SpaceState, Room>> = { ok: 'ample', low: 'scarce', full: 'none' };
/** In the order of how much there is. */
const ORDER: readonly Room[] = ['none', 'scarce', 'ample'];
/**
 * A disk says that it has more room again when it has so much more than the mark, as a part of its reserve: each change
 * is another map, and guests that write and discard would make many.
 */
const MARGIN_SHARE = 1 / 4;

/** What the heartbeat says of the room on one disk. */
export class DiskRoom {
  #room: Room = 'ample';

  get room(): Room {
    return this.#room;
  }

  /** The room by the disk's present report: less at once, more only when it is clearly more. */
  update({ free, reserve, state }: SpaceReport): Room {
    const room = ROOMS[state];
    const isMore = ORDER.indexOf(room) > ORDER.indexOf(this.#room);
    // The margin above each mark that has been passed: what lies between two marks is the reserve.
    const mark = room === 'ample' ? 2 * reserve : reserve;
    if (!isMore || free >= mark + reserve * MARGIN_SHARE) this.#room = room;
    else if (room === 'ample' && this.#room === 'none') this.#room = 'scarce';
    return this.#room;
  }
}
