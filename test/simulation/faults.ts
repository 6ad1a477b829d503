/**
 * What may happen in a simulated cluster, and what may not. The core has to keep its promises under all of it.
 *
 * Processes. A worker is killed at any moment between two events: its memory, timers and sessions are gone; what it had
 * sent or asked of the store or of a disk goes on without it. A host reboots, or loses power with all others: every
 * process on it ends and the boot id changes; of what was not synced each block of 512 bytes, each entry of a directory
 * and each commit of an index is kept or lost by itself, or all is kept, or all is lost. A worker is paused for seconds;
 * when it goes on, it sees what came meanwhile before or after its own timers that came due. A host is suspended for
 * seconds: as paused, but its clock counts the time and its timers do not.
 *
 * Clocks. Each runs at a constant rate within CLOCK_ERROR_MAX of the world's and starts anywhere. It steps forward, by at
 * most CLOCK_STEP_MS_MAX within CLOCK_STEP_INTERVAL_MS; never back. A larger step of a clock that is no suspension would
 * break what the lease rests upon, that a TTL is about as long on every host.
 *
 * Network. A message takes any time; messages of one lane of a session keep their order, those of two lanes or links do
 * not. A message is lost only with its session, and of a lost session the last messages of each lane are lost in each
 * direction, none in the middle.
 * The two ends learn of a session and of its loss at different times; until it learns of it, an end sends on. What a lost
 * session still carried may come seconds later, with its old number, also after a newer one opened. Any direction
 * between any two hosts is cut, alone or with others; what is sent meanwhile waits, and after a time the session dies.
 * No message is changed, made up, or delivered twice; none reaches another process than the one it was sent to.
 *
 * Coordination store. Strictly serializable, never loses what it carried out, and survives everything. A request or its
 * answer takes any time or is lost; the client gives up after a time of its own, and what it asked for may be carried out
 * before, after or never. It loses its majority for a while, is slow for a while, or is out of reach of some hosts. A
 * watch hears late, but each revision once and in order.
 *
 * Disks. They fail on read, on write, on sync; they hang, fill up, vanish; they are swapped for an empty one or restored
 * from a copy of themselves that is older than their last open; others write to them, so that space runs short; they are
 * added and removed by the administrator, who mounts one anew that failed before it may return. What a disk answered as
 * done it has done, but for what a power cut takes, and one that is pulled out loses the same. No worker is killed in the
 * moment between a failure of its disk and its noting that.
 *
 * Cluster. The conductor is killed or paused in the middle of its work. Hosts join, are drained, brought back, removed,
 * and forced out when they are down.
 *
 * What may not happen: more copies destroyed at once than are redundant (`allows` of the planner refuses that, as only
 * the world knows which copies are in sync); a clock that goes back; a store that forgets; bytes that change by
 * themselves. After "calm" nothing new happens, every host that was not removed runs, and all are connected; disks that
 * were destroyed stay so.
 */

/** Two hosts, a direction between them. */
export type Direction = readonly [from: string, to: string];

/** What becomes of data that was not synced: all kept, all lost, or each part by itself. */
export type Unsynced = 'kept' | 'lost' | 'torn';

export type DiskTrouble =
  /** Errors for a while, for this kind of operation. */
  | 'read-error'
  | 'write-error'
  | 'sync-error'
  /** Operations do not end for a while. */
  | 'hang'
  /** No space for a while. */
  | 'full'
  /** Not there for a while. */
  | 'vanish'
  /** For good: an empty one in its place. */
  | 'swap'
  /** For good: what it held some time ago in its place, also in `disk.json`. */
  | 'restore';

/** Of a host's disks, those that there are, the one with this number modulo how many they are. */
interface OnDisk {
  host: string;
  disk: number;
}

export type Fault =
  | { kind: 'kill'; host: string }
  | { kind: 'reboot'; host: string; unsynced: Unsynced }
  | { kind: 'power-cut'; hosts: string[]; unsynced: Unsynced }
  /** The end of the three above: the host is there again with a new worker, unless there is one already. */
  | { kind: 'start'; host: string }
  /** Kills the worker, or with `ms` pauses it, that is conductor at this moment. It starts again by itself. */
  | { kind: 'conductor'; ms: number | null }
  | { kind: 'pause'; host: string; ms: number }
  | { kind: 'suspend'; host: string; ms: number }
  | { kind: 'clock-step'; host: string; ms: number }
  | { kind: 'cut'; directions: Direction[] }
  | { kind: 'heal'; directions: Direction[] }
  | { kind: 'reset'; first: string; second: string }
  /** Latencies are long and uneven, and ends of a session learn of it late; what a lost session carried may still come. */
  | { kind: 'network-rough' }
  | { kind: 'network-smooth' }
  | { kind: 'store-outage' }
  | { kind: 'store-back' }
  | { kind: 'store-slow' }
  | { kind: 'store-fast' }
  /** Answers are late or lost, requests are carried out after their clients gave up, watches hear late. */
  | { kind: 'store-rough' }
  | { kind: 'store-smooth' }
  | { kind: 'store-cut'; host: string }
  | { kind: 'store-heal'; host: string }
  | ({ kind: 'disk'; trouble: DiskTrouble; number: number } & OnDisk)
  /** The end of the trouble with this number. */
  | { kind: 'disk-mend'; host: string; number: number }
  /** Others have written to the disk: so much is left, as a part of its reserve. */
  | ({ kind: 'crowd'; share: number } & OnDisk)
  /** They delete all that they wrote to the host's disks, whichever those are by now. */
  | { kind: 'uncrowd'; host: string }
  | ({ kind: 'disk-remove' } & OnDisk)
  | { kind: 'disk-add'; host: string }
  | { kind: 'join'; host: string }
  | { kind: 'drain'; host: string }
  | { kind: 'undrain'; host: string }
  /** Of a drained host; refused, as by `dog node remove`, where it is not empty yet. */
  | { kind: 'remove'; host: string }
  /** Of a host that is down. */
  | { kind: 'force-remove'; host: string }
  /** Nothing happens from here on. */
  | { kind: 'calm' };

export type FaultKind = Fault['kind'];

/** A fault in words, for the trace. */
export function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case 'cut':
    case 'heal':
      return `${fault.kind} ${fault.directions.map(([from, to]) => `${from}→${to}`).join(', ')}`;
    case 'reset':
      return `reset ${fault.first} and ${fault.second}, ${fault.first} knows first`;
    case 'power-cut':
      return `power cut of ${fault.hosts.join(', ')}, unsynced data ${fault.unsynced}`;
    case 'reboot':
      return `reboot ${fault.host}, unsynced data ${fault.unsynced}`;
    case 'conductor':
      return fault.ms === null ? 'kill the conductor' : `pause the conductor for ${fault.ms.toFixed(0)} ms`;
    case 'pause':
    case 'suspend':
    case 'clock-step':
      return `${fault.kind} ${fault.host} for ${fault.ms.toFixed(0)} ms`;
    case 'disk':
      return `disk ${fault.disk} of ${fault.host}: ${fault.trouble}, trouble ${fault.number}`;
    case 'disk-mend':
      return `end of disk trouble ${fault.number} on ${fault.host}`;
    case 'crowd':
      return `disk ${fault.disk} of ${fault.host}: ${fault.share.toFixed(2)} of its reserve are left`;
    case 'disk-remove':
      return `${fault.kind} ${fault.disk} of ${fault.host}`;
    default:
      return 'host' in fault ? `${fault.kind} ${fault.host}` : fault.kind;
  }
}
