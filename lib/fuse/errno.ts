import { constants } from 'node:os';

/** Errno names of this system and their positive values, as in errno(3). */
export type ErrnoName = keyof typeof constants.errno | 'ENOATTR' | 'ESTALE';

/** ENOATTR is Linux's ENODATA under its xattr name. */
export const ERRNO: Readonly<Record<string, number>> = Object.freeze({
  ...constants.errno,
  ENOATTR: constants.errno.ENODATA,
});

/** What an operation throws to be answered with an errno. `code` holds the name, `errno` the positive number. */
export class OperationError extends Error {
  readonly code: ErrnoName;
  readonly errno: number;

  constructor(code: ErrnoName, message: string = code) {
    super(message);
    this.name = 'OperationError';
    this.code = code;
    this.errno = ERRNO[code] ?? ERRNO.EIO!;
  }
}

/**
 * The positive errno to answer for anything thrown: an OperationError's own, a system error's by its code, and EIO for
 * everything else (a defect of ours, which the caller logs).
 */
export function errnoOf(error: unknown): number {
  if (error instanceof OperationError) return error.errno;
  const code = (error as { code?: unknown } | null)?.code;
  return (typeof code === 'string' && ERRNO[code]) || ERRNO.EIO!;
}
