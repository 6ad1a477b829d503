/** The path of the control socket: who may listen there, and that nobody but its owner may connect. */
import { lstat, mkdir, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';

/** Where `sheep` listens and `dog` asks, unless told. */
export const DEFAULT_CONTROL_PATH = '/run/sheepdog/sheep.sock';
/** sun_path of struct sockaddr_un, less its final zero. */
const PATH_BYTES_MAX = 107;
/** With it, bind(2) makes the socket with mode 0600. */
const UMASK_PRIVATE = 0o177;

export type SocketErrorCode = 'ALREADY_RUNNING' | 'NOT_A_SOCKET' | 'PATH_TOO_LONG';

export class SocketError extends Error {
  readonly code: SocketErrorCode;

  constructor(code: SocketErrorCode, message: string) {
    super(message);
    this.name = 'SocketError';
    this.code = code;
  }
}

/**
 * Makes the server listen on a UNIX socket of mode 0600. A socket that a dead daemon left is replaced.
 *
 * @throws SocketError ALREADY_RUNNING when somebody answers there, NOT_A_SOCKET when something else is at the path,
 *   PATH_TOO_LONG; a system error when it cannot be made.
 */
export async function listenPrivately(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw new SocketError(
      'PATH_TOO_LONG',
      `the path of the control socket is longer than ${PATH_BYTES_MAX} bytes: ${path}; choose another with --control`,
    );
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await removeStale(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    // bind(2) happens within the call, so that no moment passes in which others could connect.
    const umask = process.umask(UMASK_PRIVATE);
    try {
      server.listen(path);
    } finally {
      process.umask(umask);
    }
  });
}

async function removeStale(path: string): Promise<void> {
  const present = await lstat(path).catch(absent);
  if (!present) return;
  if (!present.isSocket()) {
    throw new SocketError('NOT_A_SOCKET', `${path} is there and is no socket; remove it, or choose another --control`);
  }
  if (await answers(path)) {
    throw new SocketError(
      'ALREADY_RUNNING',
      `a daemon listens on ${path} already; end it first, or choose another --control`,
    );
  }
  await unlink(path).catch(absent);
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}

/** Whether a process listens there. One that is too busy to accept does. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EAGAIN') resolve(true);
      else if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(error);
    });
  });
}
