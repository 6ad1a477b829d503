import type { TLSSocket } from 'node:tls';

/** What links need of a stream of bytes in both directions: Node's have it, and those of hyperswarm. */
export interface ByteStream {
  /** Answers false where `drain` is to be waited for. The stream may keep the buffer. */
  write(data: Buffer): boolean;
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  on(event: 'drain' | 'end' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  destroy(): unknown;
}

/** Writes whole frames; answers whether it takes more at once, else it calls `done` when it does. */
export type Write = (frames: Buffer) => boolean;

/**
 * One write at a time: while the kernel does not take it all, or in the same turn of the event loop, what follows is
 * gathered by whoever sends, and not by the socket, which would copy it once more.
 */
export function writeToSocket(socket: TLSSocket, done: () => void): Write {
  return (frames) => {
    socket.write(frames, done);
    return false;
  };
}

/** For a stream that does not tell when it has written what. */
export function writeToStream(stream: ByteStream, done: () => void): Write {
  stream.on('drain', done);
  return (frames) => stream.write(frames);
}
