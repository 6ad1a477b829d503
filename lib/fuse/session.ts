import { writeSync } from 'node:fs';
import { DeviceReader } from './device-reader.js';
import { ERRNO, errnoOf, OperationError } from './errno.js';
import { HANDLERS } from './handlers.js';
import { Interrupts } from './interrupts.js';
import type { Operations } from './operations.js';
import { printReply, printRequest } from './printer.js';
import {
  IN_HEADER_BYTES,
  INIT_FLAG,
  KERNEL_MAJOR,
  KERNEL_MINOR,
  KERNEL_MINOR_MIN,
  NOTIFY_RESEND,
  OPCODE,
  OUT_HEADER_BYTES,
  REQUEST_BYTES_MAX,
  UNIQUE_RESEND,
  WRITE_IN_BYTES,
} from './protocol.js';
import { encodeInit } from './replies.js';
import { Body, decodeHeader, kindOf, REQUEST, type RequestHeader } from './requests.js';

/** Where the data of a READ goes in its own request's buffer; its reply's header stands just before. */
const DATA_OFFSET = 4096;
const BUFFER_BYTES = DATA_OFFSET + REQUEST_BYTES_MAX;
/** READs and WRITEs in flight, each with a buffer; with all of them in use the next request waits in the kernel. */
const BUFFERS_MAX = 64;
const WRITE_DATA_OFFSET = IN_HEADER_BYTES + WRITE_IN_BYTES;
const UINT32 = 0x1_0000_0000;

const WANTED_FLAGS =
  INIT_FLAG.ASYNC_READ |
  INIT_FLAG.POSIX_LOCKS |
  INIT_FLAG.BIG_WRITES |
  INIT_FLAG.FLOCK_LOCKS |
  INIT_FLAG.DO_READDIRPLUS |
  INIT_FLAG.READDIRPLUS_AUTO |
  INIT_FLAG.ASYNC_DIO |
  INIT_FLAG.PARALLEL_DIROPS |
  INIT_FLAG.MAX_PAGES |
  INIT_FLAG.INIT_EXT |
  INIT_FLAG.DIRECT_IO_ALLOW_MMAP |
  INIT_FLAG.HAS_RESEND;

/** What the first worker agreed on with the kernel; a later one on the same mount starts from it. */
export interface Negotiated {
  minor: number;
  /** Whether the kernel sends requests in flight again (Linux 6.9 and later). */
  resend: boolean;
}

/** Counts the answers to one kind of request: their latency in milliseconds and the bytes that they read or wrote. */
export interface Meter {
  succeeded(latencyMs: number, bytes: number): void;
  failed(latencyMs: number): void;
}

const NO_METER: Meter = { succeeded: () => undefined, failed: () => undefined };

export interface SessionOptions {
  /** The descriptor of /dev/fuse that is, or is about to be, mounted. It stays the caller's. */
  device: number;
  /** A second descriptor of the same open device, through which the event loop waits; it becomes the session's. */
  pollDevice?: number;
  operations: Operations;
  /** Given where an earlier worker served this mount. */
  resume?: Negotiated | null;
  /** Called once INIT is answered. */
  onNegotiated?: (negotiated: Negotiated) => void;
  /** Called with what is a defect of ours: an error that is neither an OperationError nor the system's. */
  onDefect?: (error: unknown, request: string) => void;
  /** The meter of a kind of request ("READ"); asked once for each. */
  meter?: (request: string) => Meter;
  /** Called with a readable line for each request and each reply. */
  trace?: (line: string) => void;
}

/**
 * Serves one mount: reads requests from /dev/fuse, hands them to the operations and writes the answers.
 *
 * `start` begins, `ready` resolves when the mount is usable, `closed` when it is gone (unmounted or aborted).
 */
export class Session {
  readonly ready: Promise<Negotiated>;
  readonly closed: Promise<void>;
  readonly #device: number;
  readonly #operations: Operations;
  readonly #options: SessionOptions;
  readonly #reader: DeviceReader;
  readonly #interrupts = new Interrupts();
  readonly #header = Buffer.alloc(OUT_HEADER_BYTES + 8);
  readonly #meters = new Map<number, Meter>();
  readonly #readMeter: Meter;
  readonly #writeMeter: Meter;
  #becomeReady!: (negotiated: Negotiated) => void;
  #becomeClosed!: () => void;
  #fail!: (error: Error) => void;

  constructor(options: SessionOptions) {
    this.#device = options.device;
    this.#operations = options.operations;
    this.#options = options;
    this.#reader = new DeviceReader({
      device: options.device,
      pollDevice: options.pollDevice,
      bufferBytes: BUFFER_BYTES,
      buffersMax: BUFFERS_MAX,
      receive: (buffer, length) => this.#receive(buffer, length),
      onEnd: (error) => this.#ended(error),
    });
    this.#readMeter = this.#meterOf(OPCODE.READ);
    this.#writeMeter = this.#meterOf(OPCODE.WRITE);
    this.ready = new Promise((resolve, reject) => {
      this.#becomeReady = resolve;
      this.#fail = reject;
    });
    this.closed = new Promise((resolve) => {
      this.#becomeClosed = resolve;
    });
    // Whoever awaits `ready` hears of a failure; nobody has to.
    this.ready.catch(() => undefined);
  }

  start(): void {
    const { resume } = this.#options;
    if (resume) {
      if (resume.resend) this.#notifyResend();
      this.#becomeReady(resume);
    }
    this.#reader.start();
  }

  // Whatever an earlier worker had read and not answered comes again, with the resend bit.
  #notifyResend(): void {
    const message = Buffer.alloc(OUT_HEADER_BYTES);
    message.writeUInt32LE(OUT_HEADER_BYTES, 0);
    message.writeInt32LE(NOTIFY_RESEND, 4);
    writeSync(this.#device, message);
  }

  #ended(error: Error | null): void {
    if (error) this.#options.onDefect?.(error, 'reading /dev/fuse');
    this.#fail(new OperationError('ENODEV', 'the mount ended before it was usable'));
    this.#becomeClosed();
  }

  /** Answers whether the buffer is kept until the reply. */
  #receive(buffer: Buffer, length: number): boolean {
    if (this.#options.trace) this.#options.trace(printRequest(decodeHeader(buffer, length), buffer, length));
    const opcode = buffer.readUInt32LE(4);
    if (opcode === OPCODE.READ) return this.#serveRead(buffer);
    if (opcode === OPCODE.WRITE) return this.#serveWrite(buffer, length);
    this.#serve(decodeHeader(buffer, length), new Body(buffer, IN_HEADER_BYTES, length));
    return false;
  }

  // The two hot ones take the numbers from the buffer by hand and allocate as little as they can.

  #serveRead(buffer: Buffer): boolean {
    const uniqueLow = buffer.readUInt32LE(8);
    const uniqueHigh = buffer.readUInt32LE(12);
    const node = buffer.readUInt32LE(16) + buffer.readUInt32LE(20) * UINT32;
    const handle = buffer.readUInt32LE(40) + buffer.readUInt32LE(44) * UINT32;
    const offset = buffer.readUInt32LE(48) + buffer.readUInt32LE(52) * UINT32;
    const size = buffer.readUInt32LE(56);
    const flags = buffer.readUInt32LE(72);
    const target = buffer.subarray(DATA_OFFSET, DATA_OFFSET + size);
    const started = performance.now();
    this.#operations.read(node, handle, offset, target, flags).then(
      (bytes) => {
        const start = DATA_OFFSET - OUT_HEADER_BYTES;
        buffer.writeUInt32LE(OUT_HEADER_BYTES + bytes, start);
        buffer.writeUInt32LE(0, start + 4);
        buffer.writeUInt32LE(uniqueLow, start + 8);
        buffer.writeUInt32LE(uniqueHigh, start + 12);
        this.#send(buffer, start, OUT_HEADER_BYTES + bytes);
        this.#reader.release(buffer);
        this.#readMeter.succeeded(performance.now() - started, bytes);
      },
      (error) => {
        this.#reader.release(buffer);
        this.#readMeter.failed(performance.now() - started);
        this.#replyError(uniqueLow, uniqueHigh, error, 'READ');
      },
    );
    return true;
  }

  #serveWrite(buffer: Buffer, length: number): boolean {
    const uniqueLow = buffer.readUInt32LE(8);
    const uniqueHigh = buffer.readUInt32LE(12);
    const node = buffer.readUInt32LE(16) + buffer.readUInt32LE(20) * UINT32;
    const handle = buffer.readUInt32LE(40) + buffer.readUInt32LE(44) * UINT32;
    const offset = buffer.readUInt32LE(48) + buffer.readUInt32LE(52) * UINT32;
    const size = buffer.readUInt32LE(56);
    const flags = buffer.readUInt32LE(72);
    if (WRITE_DATA_OFFSET + size > length) {
      this.#replyError(uniqueLow, uniqueHigh, new OperationError('EINVAL', 'WRITE is cut short'), 'WRITE');
      return false;
    }
    const data = buffer.subarray(WRITE_DATA_OFFSET, WRITE_DATA_OFFSET + size);
    const started = performance.now();
    this.#operations.write(node, handle, offset, data, flags).then(
      (bytes) => {
        this.#reader.release(buffer);
        const header = this.#header;
        header.writeUInt32LE(OUT_HEADER_BYTES + 8, 0);
        header.writeInt32LE(0, 4);
        header.writeUInt32LE(uniqueLow, 8);
        header.writeUInt32LE(uniqueHigh, 12);
        header.writeUInt32LE(bytes, 16);
        header.writeUInt32LE(0, 20);
        this.#send(header, 0, OUT_HEADER_BYTES + 8);
        this.#writeMeter.succeeded(performance.now() - started, bytes);
      },
      (error) => {
        this.#reader.release(buffer);
        this.#writeMeter.failed(performance.now() - started);
        this.#replyError(uniqueLow, uniqueHigh, error, 'WRITE');
      },
    );
    return true;
  }

  #serve(header: RequestHeader, body: Body): void {
    switch (header.opcode) {
      case OPCODE.FORGET:
      case OPCODE.BATCH_FORGET:
        return; // node ids come from what is stored: there is nothing to forget, and no reply
      case OPCODE.INTERRUPT:
        this.#interrupts.interrupt(REQUEST.interrupt.decode(body).unique & ~UNIQUE_RESEND);
        return;
      case OPCODE.INIT:
        this.#negotiate(header, body);
        return;
      case OPCODE.DESTROY:
        this.#reply(header.unique, null);
        return;
    }
    const handler = HANDLERS.get(header.opcode);
    if (!handler) {
      this.#replyErrno(header.unique, ERRNO.ENOSYS!);
      return;
    }
    const meter = this.#meterOf(header.opcode);
    const started = performance.now();
    const unique = header.unique & ~UNIQUE_RESEND;
    const signal = this.#interrupts.begin(unique);
    const resent = (header.unique & UNIQUE_RESEND) !== 0n;
    const { uid, gid, pid } = header;
    // Decoding happens before the first await, while the buffer is still this request's.
    const answer = (async () =>
      handler(this.#operations, header.node, body, { uid, gid, pid, unique, resent, signal }))();
    answer
      .finally(() => this.#interrupts.end(unique))
      .then(
        (bytes) => {
          this.#reply(header.unique, bytes);
          meter.succeeded(performance.now() - started, 0);
        },
        (error) => {
          this.#noteDefect(error, kindOf(header.opcode)?.name ?? String(header.opcode));
          this.#replyErrno(header.unique, errnoOf(error));
          meter.failed(performance.now() - started);
        },
      );
  }

  #negotiate(header: RequestHeader, body: Body): void {
    const init = REQUEST.init.decode(body);
    if (init.major !== KERNEL_MAJOR || init.minor < KERNEL_MINOR_MIN) {
      this.#replyErrno(header.unique, ERRNO.EPROTO!);
      this.#fail(
        new OperationError(
          'EPROTO',
          `the kernel speaks FUSE ${init.major}.${init.minor}; at least ${KERNEL_MAJOR}.${KERNEL_MINOR_MIN} (Linux 5.4) is needed`,
        ),
      );
      return;
    }
    const minor = Math.min(init.minor, KERNEL_MINOR);
    const flags = init.flags & WANTED_FLAGS;
    this.#reply(header.unique, encodeInit(minor, init.readaheadMax, flags));
    const negotiated = { minor, resend: (flags & INIT_FLAG.HAS_RESEND) !== 0n };
    this.#options.onNegotiated?.(negotiated);
    this.#becomeReady(negotiated);
  }

  #meterOf(opcode: number): Meter {
    let meter = this.#meters.get(opcode);
    if (!meter) {
      meter = this.#options.meter?.(kindOf(opcode)?.name ?? `opcode ${opcode}`) ?? NO_METER;
      this.#meters.set(opcode, meter);
    }
    return meter;
  }

  #reply(unique: bigint, body: Buffer | null): void {
    const message = Buffer.allocUnsafe(OUT_HEADER_BYTES + (body?.length ?? 0));
    message.writeUInt32LE(message.length, 0);
    message.writeInt32LE(0, 4);
    message.writeBigUInt64LE(unique, 8);
    body?.copy(message, OUT_HEADER_BYTES);
    this.#send(message, 0, message.length);
  }

  #replyErrno(unique: bigint, errno: number): void {
    const message = Buffer.alloc(OUT_HEADER_BYTES);
    message.writeUInt32LE(OUT_HEADER_BYTES, 0);
    message.writeInt32LE(-errno, 4);
    message.writeBigUInt64LE(unique, 8);
    this.#send(message, 0, OUT_HEADER_BYTES);
  }

  #replyError(uniqueLow: number, uniqueHigh: number, error: unknown, request: string): void {
    this.#noteDefect(error, request);
    this.#replyErrno(BigInt(uniqueLow) | (BigInt(uniqueHigh) << 32n), errnoOf(error));
  }

  #noteDefect(error: unknown, request: string): void {
    const code = (error as { code?: unknown } | null)?.code;
    if (typeof code !== 'string' || !(code in ERRNO)) this.#options.onDefect?.(error, request);
  }

  #send(message: Buffer, start: number, length: number): void {
    if (this.#options.trace) {
      const errno = -message.readInt32LE(start + 4);
      this.#options.trace(printReply(message.readBigUInt64LE(start + 8), errno, length - OUT_HEADER_BYTES));
    }
    try {
      writeSync(this.#device, message, start, length);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // ENOENT: the caller is gone (killed) or the request was sent again meanwhile. ENODEV: the mount is.
      if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'ECONNABORTED') {
        this.#options.onDefect?.(error, 'writing a reply to /dev/fuse');
      }
    }
  }
}
