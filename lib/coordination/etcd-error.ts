export type EtcdErrorCode =
  /** The program is not there, or too old. */
  | 'NOT_INSTALLED'
  /** Not even SIGKILL ended it: it waits for a disk. */
  | 'NOT_ENDED';

/** Of running etcd, not of asking it. */
export class EtcdError extends Error {
  readonly code: EtcdErrorCode;

  constructor(code: EtcdErrorCode, message: string) {
    super(message);
    this.name = 'EtcdError';
    this.code = code;
  }
}
