/** Answers and requests that are longer than what is kept in memory. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  AdministrationError,
  type VdiExport,
  type VdiImport,
  type VdiInfo,
  type WorkStatus,
} from './administration.js';
import { decodeFrames, encodeDataHeader, encodeEnd, encodeError } from './frames.js';
import { errorBody, write } from './http.js';

/** The size of an image and what of it is data go ahead of its content, for whoever shows progress. */
export const SIZE_HEADER = 'sheepdog-size';
export const USED_HEADER = 'sheepdog-used';

interface Streaming {
  request: IncomingMessage;
  response: ServerResponse;
  onDefect: (error: unknown) => void;
}

/** Sends an image's content. What goes wrong on the way is its last frame. */
export async function sendExport(source: VdiExport, { response, onDefect }: Streaming): Promise<void> {
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    [SIZE_HEADER]: source.size,
    ...(source.used === null ? {} : { [USED_HEADER]: source.used }),
  });
  response.flushHeaders();
  try {
    for await (const { offset, data } of source.extents) {
      response.write(encodeDataHeader(offset, data.length));
      if (!(await write(response, data))) return;
    }
    response.end(encodeEnd(source.size));
  } catch (error) {
    if (!(error instanceof AdministrationError)) onDefect(error);
    response.end(encodeError(JSON.stringify(errorBody(error))));
  }
}

/**
 * Carries out an import with what the request brings, or undoes it.
 *
 * @throws AdministrationError BROKEN_STREAM when it does not come to its end; as `target` does.
 */
export async function receiveImport(target: VdiImport, { request, onDefect }: Streaming): Promise<VdiInfo> {
  try {
    // Unlike the stream's own iterator, this leaves it open when it stops early: the answer goes the same way.
    const chunks = request.iterator({ destroyOnReturn: false });
    for await (const frame of decodeFrames(chunks)) {
      if (frame.type === 'error') throw new AdministrationError('BROKEN_STREAM', 'the sender gave up');
      if (frame.type === 'end') return await target.finish(frame.size);
      await target.write(frame);
    }
    throw new AdministrationError('BROKEN_STREAM', 'the stream is broken: it stopped before its end');
  } catch (error) {
    await target.abort().catch(onDefect);
    // A sender that is gone is no defect; it is not there to be told either.
    if (request.destroyed && !request.complete) throw new AdministrationError('BROKEN_STREAM', 'the sender is gone');
    throw error;
  }
}

/** Sends each state of a work as a line of JSON. An error before the first is thrown, to be answered as any other. */
export async function sendProgress(states: AsyncIterable<WorkStatus>, { response }: Streaming): Promise<void> {
  for await (const state of states) {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    if (!(await write(response, `${JSON.stringify(state)}\n`))) return;
  }
  response.end();
}
