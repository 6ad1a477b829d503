import { read } from 'node:fs';
import { Socket } from 'node:net';

/** Takes a request of `length` bytes at the start of `buffer`; answers whether the buffer stays in use. */
export type Receive = (buffer: Buffer, length: number) => boolean;

export interface DeviceReaderOptions {
  /** The descriptor of /dev/fuse that the pool's threads read. */
  device: number;
  /** A second descriptor of the same open device, for the event loop; it becomes the reader's. */
  pollDevice?: number | undefined;
  /** Bytes of a buffer; the kernel refuses less than its greatest request. */
  bufferBytes: number;
  /** Buffers that may stay in use at a time; beyond, requests wait in the kernel. */
  buffersMax: number;
  receive: Receive;
  /** Called once when the device ends: null for an unmount. */
  onEnd: (error: Error | null) => void;
}

/** Reads of the device that wait on the pool at the same time, where the event loop cannot. */
const POOL_READERS = 2;
/** Between looks at a device that does not block, when only the pool is left. */
const RETRY_MS = 1;

/** The part of Node's stream handles that is needed; its class is internal. */
interface PipeHandle {
  open(fd: number): number;
}

interface InternalBindings {
  binding(name: 'pipe_wrap'): { Pipe: new (type: number) => PipeHandle; constants: { SOCKET: number } };
}

/**
 * Node can wait for a descriptor in its event loop only through a stream handle, and its public constructors refuse a
 * character device. The class behind them does not: it reads whatever epoll(7) can watch. Null where a later Node has
 * none.
 */
function openPipe(fd: number): PipeHandle | null {
  try {
    const { Pipe, constants } = (process as unknown as InternalBindings).binding('pipe_wrap');
    const pipe = new Pipe(constants.SOCKET);
    return pipe.open(fd) === 0 ? pipe : null;
  } catch (error) {
    if (error instanceof TypeError || /No such (module|binding)/.test(String(error))) return null;
    throw error;
  }
}

/**
 * Reads requests from /dev/fuse, one a buffer. In the event loop where that is possible: a request that waits for a
 * thread of libuv's pool to read it and to be woken costs twice the time on a busy host.
 */
export class DeviceReader {
  readonly #options: DeviceReaderOptions;
  readonly #free: Buffer[] = [];
  #busy = 0;
  #socket: Socket | null = null;
  /** Buffer that the event loop reads into next. */
  #next: Buffer | null = null;
  /** Pool reads that wait for a buffer. */
  #starved = 0;
  #poolReaders = 0;
  #ended = false;

  constructor(options: DeviceReaderOptions) {
    this.#options = options;
  }

  /** Buffers in use by requests. */
  get busy(): number {
    return this.#busy;
  }

  start(): void {
    const { pollDevice } = this.#options;
    const pipe = pollDevice === undefined ? null : openPipe(pollDevice);
    if (pipe) this.#startPolling(pipe);
    else this.#startPool();
  }

  /** Gives back a buffer that was kept. */
  release(buffer: Buffer): void {
    this.#busy--;
    this.#free.push(buffer);
    if (this.#socket?.isPaused()) this.#socket.resume();
    else if (this.#starved > 0) {
      this.#starved--;
      this.#readOnPool();
    }
  }

  #take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#options.bufferBytes);
  }

  #startPolling(handle: PipeHandle): void {
    const { receive, buffersMax } = this.#options;
    const socket = new Socket({
      handle,
      readable: true,
      writable: false,
      onread: {
        // Asked for after each request: the same buffer again unless it was kept.
        buffer: () => {
          this.#next ??= this.#take();
          return this.#next;
        },
        callback: (length: number, buffer: Uint8Array) => {
          if (!receive(buffer as Buffer, length)) return true;
          this.#busy++;
          this.#next = null;
          if (this.#busy < buffersMax) return true;
          socket.pause();
          return false;
        },
      },
    } as unknown as ConstructorParameters<typeof Socket>[0]);
    this.#socket = socket;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#socket = null;
      // One request that was given up while it was read ends the stream; the pool goes on where it stopped.
      if (error.code === 'ENODEV' || error.code === 'ECONNABORTED') this.#end(null);
      else if (!this.#ended) this.#startPool();
    });
    socket.resume();
  }

  #startPool(): void {
    for (let i = 0; i < POOL_READERS; i++) {
      this.#poolReaders++;
      this.#readOnPool();
    }
  }

  #readOnPool = (): void => {
    if (this.#busy >= this.#options.buffersMax) {
      this.#starved++;
      return;
    }
    const buffer = this.#take();
    read(this.#options.device, buffer, 0, buffer.length, null, (error, length) => {
      if (error) {
        this.#free.push(buffer);
        this.#poolReadFailed(error);
        return;
      }
      if (this.#options.receive(buffer, length)) this.#busy++;
      else this.#free.push(buffer);
      this.#readOnPool();
    });
  };

  #poolReadFailed(error: NodeJS.ErrnoException): void {
    // ENOENT: the request was given up before it was read. EINTR: nothing was read.
    if (error.code === 'ENOENT' || error.code === 'EINTR') this.#readOnPool();
    else if (error.code === 'EAGAIN') setTimeout(this.#readOnPool, RETRY_MS);
    else {
      this.#poolReaders--;
      if (this.#poolReaders === 0) this.#end(error.code === 'ENODEV' || error.code === 'ECONNABORTED' ? null : error);
    }
  }

  #end(error: Error | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd(error);
  }
}
