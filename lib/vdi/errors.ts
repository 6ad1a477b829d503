import { ERRNO } from '../fuse/errno.js';

export type VdiErrorCode =
  | 'EAGAIN'
  | 'EBUSY'
  | 'ENOENT'
  | 'EEXIST'
  | 'EFBIG'
  | 'EINVAL'
  | 'ESTALE'
  | 'ENOSPC'
  | 'ENODATA'
  | 'ENOTSUP'
  | 'EPERM'
  | 'ETXTBSY';

/** What an image cannot do; `code` is the errno's name, so that it can be answered to a guest as it is. */
export class VdiError extends Error {
  readonly code: VdiErrorCode;
  readonly errno: number;

  constructor(code: VdiErrorCode, message: string) {
    super(message);
    this.name = 'VdiError';
    this.code = code;
    this.errno = ERRNO[code]!;
  }
}

/** The image is no more. */
export function gone(id: number): VdiError {
  return new VdiError('ESTALE', `image ${id} is gone`);
}
