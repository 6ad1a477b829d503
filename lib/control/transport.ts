import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { AdministrationError, type AdministrationErrorCode } from './administration.js';
import { ClientError } from './client-error.js';

/** Of an answer in JSON: a list of a few hundred thousand images. */
const ANSWER_BYTES_MAX = 128 * 1024 * 1024;

/** HTTP to one control socket, a connection a request. */
export class ControlTransport {
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Asks in JSON and answers what the answer holds, which is what the daemon says it is. The signal gives it up.
   *
   * @throws AdministrationError as the daemon has it; ClientError, NO_ANSWER after `deadlineMs`.
   */
  async json<T>(method: string, target: string, body: unknown, deadlineMs: number, signal?: AbortSignal): Promise<T> {
    const asking = this.start(method, target, signal);
    const late = new ClientError(
      'NO_ANSWER',
      `the daemon did not answer within ${deadlineMs / 1000} s`,
      'its log may say why; a disk that hangs is the usual reason',
    );
    const timer = setTimeout(() => asking.destroy(late), deadlineMs);
    try {
      asking.end(body === null ? undefined : JSON.stringify(body));
      return await this.jsonOf<T>(await this.answerOf(asking));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks for something long: answers when it begins. The caller reads the response to its end or destroys it. */
  async open(method: string, target: string, signal: AbortSignal): Promise<IncomingMessage> {
    const asking = this.start(method, target, signal);
    asking.end();
    const response = await this.answerOf(asking);
    if (response.statusCode !== 200) await this.jsonOf(response);
    return response;
  }

  /** A request whose body the caller writes and ends. The signal cuts it off, its answer too. */
  start(method: string, target: string, signal?: AbortSignal): ClientRequest {
    const headers = { host: 'sheep' };
    const asking = request({ socketPath: this.path, method, path: `/v1/${target}`, agent: false, headers });
    if (!signal) return asking;
    const cut = () => asking.destroy(signal.reason);
    signal.addEventListener('abort', cut);
    asking.on('close', () => signal.removeEventListener('abort', cut));
    if (signal.aborted) cut();
    return asking;
  }

  /** The answer's beginning. */
  answerOf(asking: ClientRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      asking.on('response', resolve);
      // Stays for later errors too, which the answer's own stream tells of.
      asking.on('error', (error) => reject(this.translate(error)));
    });
  }

  /** Reads an answer to its end. */
  async jsonOf<T>(response: IncomingMessage): Promise<T> {
    const text = await this.textOf(response);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.notOurs();
    }
    if (response.statusCode === 200) return value as T;
    const error = refusal(value);
    throw error ?? this.notOurs();
  }

  /** What an error of the connection means; an error of ours stays as it is. */
  translate(error: Error): Error {
    if (error instanceof ClientError || error instanceof AdministrationError) return error;
    return ClientError.ofConnection(error, this.path);
  }

  private async textOf(response: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) throw this.notOurs();
        chunks.push(chunk);
      }
    } catch (error) {
      throw this.translate(error as Error);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  private notOurs(): ClientError {
    return new ClientError(
      'BAD_ANSWER',
      `what answers at ${this.path} is no sheep daemon`,
      'name the socket of one with --control',
    );
  }
}

/** The error that an answer holds, or null when it holds none. */
export function refusal(value: unknown): AdministrationError | null {
  if (typeof value !== 'object' || value === null) return null;
  const { code, message, hint } = value as Record<string, unknown>;
  if (typeof code !== 'string' || typeof message !== 'string') return null;
  return new AdministrationError(code as AdministrationErrorCode, message, typeof hint === 'string' ? hint : null);
}
