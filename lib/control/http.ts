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
  const body = jsonOf(value);
  writeJsonHead(response, status, body);
  response.end(body);
}

/**
 * Answers an error. What is still being sent is read on for a while first: closing the connection under it would reset
 * it, and the answer could be lost.
 */
export function sendError(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const value = errorBody(error);
  if (request.complete || request.destroyed) {
    sendJson(response, STATUS_CODES[value.code], value);
    return;
  }
  const body = jsonOf(value);
  writeJsonHead(response, STATUS_CODES[value.code], body);
  // All of the answer, to be seen at once; only its end waits.
  response.write(body);
  const timer = setTimeout(() => request.destroy(), LINGER_MS);
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  request.on('end', end);
  request.on('close', end);
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

function jsonOf(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

function writeJsonHead(response: ServerResponse, status: number, body: Buffer): void {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
}
