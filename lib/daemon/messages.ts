import type { Negotiated } from '../fuse/session.js';

/** What the worker tells its supervisor. */
export type WorkerMessage =
  | { type: 'mount'; path: string }
  | { type: 'negotiated'; negotiated: Negotiated }
  | { type: 'ready' }
  | { type: 'unmount' };

/** What the supervisor tells its worker. */
export type SupervisorMessage =
  /** The device is mounted; `resume` is given where an earlier worker served it. */
  | { type: 'mounted'; resume: Negotiated | null }
  | { type: 'refused'; message: string }
  | { type: 'unmounted'; busy: boolean }
  | { type: 'stop' };

/** The descriptor under which the worker inherits /dev/fuse. */
export const DEVICE_FD = 3;
/** The same open device once more, for the worker's event loop to wait on; 4 is the channel to the supervisor. */
export const POLL_FD = 5;

/** With which a worker ends that is to be followed by another one at once: nothing is wrong. EX_TEMPFAIL of sysexits.h. */
export const RESTART_CODE = 75;
