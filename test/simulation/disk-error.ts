import { constants } from 'node:os';

/** An error as the kernel's come out of `node:fs`. */
export function systemError(code: string, call: string, path?: string): NodeJS.ErrnoException {
  const where = path === undefined ? '' : ` '${path}'`;
  const errno = -(constants.errno as Record<string, number>)[code]!;
  return Object.assign(new Error(`${code}: simulated, ${call}${where}`), { code, errno, syscall: call, path });
}
