/** Bytes of UTF-8, as NAME_MAX of Linux. */
export const NAME_BYTES_MAX = 255;

/** `code` is the errno's name that a system call with such a name is answered with. */
export type NameErrorCode = 'EINVAL' | 'ENAMETOOLONG' | 'EPERM';

export class NameError extends Error {
  readonly code: NameErrorCode;

  constructor(code: NameErrorCode, message: string) {
    super(message);
    this.name = 'NameError';
    this.code = code;
  }
}

/**
 * Refuses what cannot be an image's name. Names are 1 to 255 bytes of UTF-8 without `/` and NUL; those that begin with
 * a dot are kept for the file system's own use.
 *
 * Throws NameError, whose message is one line for people.
 */
export function validateVdiName(name: string): void {
  if (name === '') throw new NameError('EINVAL', 'an image needs a name');
  if (name === '.' || name === '..') throw new NameError('EINVAL', `"${name}" cannot be the name of an image`);
  if (name.includes('/')) throw new NameError('EINVAL', `${quoted(name)}: the name of an image cannot contain "/"`);
  if (name.includes('\0')) throw new NameError('EINVAL', `${quoted(name)}: the name of an image cannot contain NUL`);
  const bytes = Buffer.from(name);
  // The replacement character is what decoding puts in place of bytes that are no text: names that differ in such
  // bytes would be one here.
  if (name.includes('\ufffd') || bytes.toString() !== name) {
    throw new NameError('EINVAL', `${quoted(name)}: the name of an image has to be valid UTF-8`);
  }
  if (bytes.length > NAME_BYTES_MAX) {
    throw new NameError('ENAMETOOLONG', `the name has ${bytes.length} bytes, at most ${NAME_BYTES_MAX} are allowed`);
  }
  if (name.startsWith('.')) throw new NameError('EPERM', `${quoted(name)}: names that begin with a dot are reserved`);
}

/** On one line, and not longer than it can be, whatever is in it. */
function quoted(name: string): string {
  return JSON.stringify(name.length > NAME_BYTES_MAX ? `${name.slice(0, NAME_BYTES_MAX)}…` : name);
}
