/** Why a host is not let in; the first is never the last word. */
export const JOIN_REFUSALS = [
  /** The cluster could not do it now; the same again may succeed. */
  'NOT_NOW',
  'WRONG_TOKEN',
  'EXPIRED',
  'USED_UP',
  'TOO_MANY_ATTEMPTS',
  /** What the host says of itself: its name is taken, it was removed for good. */
  'REFUSED',
] as const;
export type JoinRefusal = (typeof JOIN_REFUSALS)[number];

export type JoinErrorCode =
  | JoinRefusal
  /** Text that is no token of this release. */
  | 'BAD_TOKEN'
  /** A token that is not to be made so. */
  | 'BAD_OPTION'
  /** What answers is not the cluster that made the token. */
  | 'STRANGER'
  /** Nobody has answered in time. */
  | 'UNREACHABLE';

/** What keeps a host out of a cluster, in one line that says what to do. */
export class JoinError extends Error {
  readonly code: JoinErrorCode;

  constructor(code: JoinErrorCode, message: string) {
    super(message);
    this.name = 'JoinError';
    this.code = code;
  }
}
