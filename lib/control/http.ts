/** The few things that the control server needs to read requests and write answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { AdministrationError, type AdministrationErrorCode } from './administration.js';

/** Of a request in JSON. */
const BODY_BYTES_MAX = 64 * 1024;
const BODY_DEADLINE_MS = 30_000;
/** How long the rest of a request that was answered already is listened to, so that its sender sees the answer. */
const LINGER_MS = 5000;

const STATUS_CODES: Record<AdministrationErrorCode, number> = {
  NOT_FOUND: 404,
  EXISTS: 409,
  IN_USE: 409,
  WOULD_LOSE_DATA: 409,
  INVALID: 400,
  TOO_LARGE: 413,
  NO_SPACE: 507,
  BUSY: 409,
  BROKEN_STREAM: 400,
  SHUTTING_DOWN: 503,
  INTERNAL: 500,
};

export interface ErrorBody {
  code: AdministrationErrorCode;
  message: string;
  hint: string | null;
}

/** What is told of an error: an AdministrationError's own words, and nothing of the inside for any other. */
export function errorBody(error: unknown): ErrorBody {
  if (error instanceof AdministrationError) return { code: error.code, message: error.message, hint: error.hint };
  return { code: 'INTERNAL', message: 'the daemon failed at it', hint: 'its log says more' };
}

/**
 * Reads a body of JSON; an empty one is an empty object.
 *
 * @throws AdministrationError TOO_LARGE, INVALID, BROKEN_STREAM.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const timer = setTimeout(() => request.destroy(), BODY_DEADLINE_MS);
  try {
    return parse(await readAll(request));
  } finally {
    clearTimeout(timer);
  }
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** Answers an error, and reads on for a while what is still being sent, which would else reset the connection. */
export function sendError(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const body = errorBody(error);
  sendJson(response, STATUS_CODES[body.code], body);
  if (request.complete || request.destroyed) return;
  const timer = setTimeout(() => request.destroy(), LINGER_MS);
  request.on('close', () => clearTimeout(timer));
  request.on('end', () => clearTimeout(timer));
  request.resume();
}

/** Writes, and waits where the receiver is slower. Answers false when it is gone. */
export async function write(stream: Writable, chunk: Uint8Array | string): Promise<boolean> {
  if (stream.destroyed) return false;
  if (stream.write(chunk)) return true;
  await new Promise<void>((resolve) => {
    const end = () => {
      stream.off('drain', end);
      stream.off('close', end);
      resolve();
    };
    stream.on('drain', end);
    stream.on('close', end);
  });
  return !stream.destroyed;
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = () => new AdministrationError('TOO_LARGE', `a request is longer than ${BODY_BYTES_MAX} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) throw tooLarge();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) return reject(tooLarge());
      chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    // After its end, both come to nothing.
    const stopped = () => reject(new AdministrationError('BROKEN_STREAM', 'the request stopped before its end'));
    request.on('error', stopped);
    request.on('close', stopped);
  });
}

function parse(body: Buffer): unknown {
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new AdministrationError('INVALID', 'the request is no JSON');
  }
}
