export type NetErrorCode =
  /** A port is another program's. */
  | 'PORT_IN_USE'
  /** A file or an address cannot be used. */
  | 'NO_ACCESS'
  /** A file of the state directory is not what was written. */
  | 'DAMAGED'
  /** An address or a token that is none. */
  | 'BAD_ADDRESS';

/** What keeps this host off the network, in one line that says what to do. */
export class NetError extends Error {
  readonly code: NetErrorCode;

  constructor(code: NetErrorCode, message: string) {
    super(message);
    this.name = 'NetError';
    this.code = code;
  }
}
