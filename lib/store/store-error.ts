export type StoreErrorCode =
  /** No space left for data; nothing was changed. */
  | 'ENOSPC'
  /** One object cannot be read or written. */
  | 'EIO'
  /** The disk was taken out; every further operation answers this. */
  | 'DISK_FAILED'
  | 'CLOSED'
  | 'NOT_FOUND'
  | 'NOT_EMPTY'
  | 'NOT_A_DISK'
  | 'OTHER_CLUSTER'
  | 'OTHER_HOST'
  | 'OTHER_DISK'
  /** The disk was put back to what it was earlier: it lacks what was written since. */
  | 'OLD_IMAGE'
  | 'NEWER_FORMAT'
  | 'READ_ONLY'
  | 'LOCKED';

/** What the store throws. `message` is one line that says what is wrong and, where somebody can act, what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
  }
}

/** The code of a system error, or an empty string. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
