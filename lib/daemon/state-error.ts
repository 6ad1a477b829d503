export type StateErrorCode =
  | 'IN_USE'
  | 'WRONG_FORMAT'
  | 'DAMAGED'
  | 'NO_ACCESS'
  | 'NOT_JOINED'
  | 'OTHER_CLUSTER'
  | 'REMOVED';

/** A state directory that cannot be used; the message is one line that says what to do. */
export class StateError extends Error {
  readonly code: StateErrorCode;

  constructor(code: StateErrorCode, message: string) {
    super(message);
    this.name = 'StateError';
    this.code = code;
  }
}
