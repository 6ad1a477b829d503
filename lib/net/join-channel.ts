import type HyperDHT from 'hyperdht';
import type { z } from 'zod';
import { WireError } from './links.js';

/** Messages that came and that nobody has asked for yet; there is never a reason for more. */
const WAITING_MAX = 2;

interface Receiver {
  take(message: Buffer): void;
  fail(error: Error): void;
}

/** Messages of JSON over one connection, one at a time each way. */
export class JoinChannel {
  readonly stream: HyperDHT.SecretStream;
  readonly #waiting: Buffer[] = [];
  #receiver: Receiver | null = null;
  #error: Error | null = null;

  /** Who sends more than `bytesMax` is not heard any more. */
  constructor(stream: HyperDHT.SecretStream, bytesMax: number) {
    this.stream = stream;
    let bytes = 0;
    // Below the frames: one that says it is long would be gathered whole first.
    stream.rawStream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bytesMax) this.#fail(new WireError(`more than ${bytesMax} bytes`));
    });
    stream.on('error', (error: Error) => this.#fail(error));
    stream.on('close', () => this.#fail(new Error('the connection was closed')));
    stream.on('end', () => stream.end());
    stream.on('data', (message: Buffer) => this.#received(message));
  }

  send(message: object): void {
    if (!this.stream.destroyed) this.stream.write(Buffer.from(JSON.stringify(message)));
  }

  /**
   * The next message. Rejects with WireError for one that `schema` is not of, and with whatever ended the connection,
   * which a silence of `timeoutMs` does too.
   */
  receive<T>(schema: z.ZodType<T>, timeoutMs: number): Promise<T> {
    return new Promise<Buffer>((resolve, reject) => {
      if (this.#error) {
        reject(this.#error);
        return;
      }
      const waiting = this.#waiting.shift();
      if (waiting) {
        resolve(waiting);
        return;
      }
      const timer = setTimeout(() => this.#fail(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
      const settled = () => {
        clearTimeout(timer);
        this.#receiver = null;
      };
      this.#receiver = {
        take: (message) => {
          settled();
          resolve(message);
        },
        fail: (error) => {
          settled();
          reject(error);
        },
      };
    }).then((message) => this.#parse(schema, message));
  }

  /** Sends what is to be sent and ends. Resolves when the other end has gone, or after `timeoutMs`. */
  async end(timeoutMs: number): Promise<void> {
    if (this.stream.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.stream.destroy(), timeoutMs);
      this.stream.on('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.stream.end();
    });
  }

  destroy(): void {
    this.stream.destroy();
  }

  #received(message: Buffer): void {
    if (this.#receiver) this.#receiver.take(message);
    else if (this.#waiting.push(message) > WAITING_MAX) this.#fail(new WireError('more messages than were asked for'));
  }

  #parse<T>(schema: z.ZodType<T>, message: Buffer): T {
    let json: unknown;
    try {
      json = JSON.parse(message.toString());
    } catch {
      // What the parser says quotes what came.
      json = undefined;
    }
    const parsed = schema.safeParse(json);
    if (parsed.success) return parsed.data;
    const error = new WireError(`a message that is none (${parsed.error.issues[0]?.path.join('.') || 'as a whole'})`);
    this.#fail(error);
    throw error;
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#receiver?.fail(this.#error);
    this.stream.destroy();
  }
}
