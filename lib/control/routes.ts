/** Which request asks what of the daemon. Paths are versioned, so that an older `dog` is told so and not surprised. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { z } from 'zod';
import { type Administration, AdministrationError } from './administration.js';
import { readJson, sendJson } from './http.js';
import {
  check,
  cloneRequest,
  createRequest,
  deleteQuery,
  diskAddRequest,
  diskRemoveRequest,
  emptyRequest,
  importQuery,
  noQuery,
  resizeRequest,
  shutdownRequest,
  tokenRequest,
} from './requests.js';
import { receiveImport, sendExport, sendProgress } from './streams.js';

export interface Call {
  administration: Administration;
  request: IncomingMessage;
  response: ServerResponse;
  /** What stands for `:` in the path, decoded. */
  parameter: string;
  query: Record<string, string>;
  /** Aborted when the asker is gone, or the server closes. */
  signal: AbortSignal;
  /** Is told of errors that nobody can be answered any more. */
  onDefect: (error: unknown) => void;
}

interface Route {
  method: string;
  /** Segments after the version; `:` takes any one. */
  path: string;
  answer: (call: Call) => Promise<void>;
}

const ROUTES: readonly Route[] = [
  { method: 'GET', path: 'status', answer: asked((administration) => administration.status()) },
  { method: 'GET', path: 'cluster', answer: asked((administration) => administration.clusterInfo()) },
  {
    method: 'POST',
    path: 'shutdown',
    answer: told(shutdownRequest, ({ administration }, body) => administration.shutdown(body)),
  },
  {
    method: 'POST',
    path: 'cluster/token',
    answer: told(tokenRequest, ({ administration }, body) => administration.token(body)),
  },
  { method: 'GET', path: 'recovery', answer: asked((administration) => administration.recovery()) },
  { method: 'GET', path: 'nodes', answer: asked((administration) => administration.nodeList()) },
  { method: 'POST', path: 'nodes/:/drain', answer: toNode((administration, which) => administration.nodeDrain(which)) },
  {
    method: 'POST',
    path: 'nodes/:/undrain',
    answer: toNode((administration, which) => administration.nodeUndrain(which)),
  },
  {
    method: 'POST',
    path: 'nodes/:/remove',
    answer: toNode((administration, which) => administration.nodeRemove(which)),
  },
  {
    method: 'POST',
    path: 'nodes/:/force-remove',
    answer: toNode((administration, which) => administration.nodeForceRemove(which)),
  },
  { method: 'GET', path: 'vdis', answer: asked((administration) => administration.vdiList()) },
  {
    method: 'POST',
    path: 'vdis',
    answer: told(createRequest, ({ administration }, { name, size, copies }) =>
      administration.vdiCreate(name, size, { copies }),
    ),
  },
  { method: 'GET', path: 'vdis/:', answer: asked((administration, name) => administration.vdiInfo(name)) },
  { method: 'DELETE', path: 'vdis/:', answer: deleteVdi },
  {
    method: 'POST',
    path: 'vdis/:/resize',
    answer: told(resizeRequest, ({ administration, parameter }, { size, shrink }) =>
      administration.vdiResize(parameter, size, { shrink }),
    ),
  },
  {
    method: 'POST',
    path: 'vdis/:/clone',
    answer: told(cloneRequest, ({ administration, parameter }, { name }) => administration.vdiClone(parameter, name)),
  },
  { method: 'GET', path: 'vdis/:/content', answer: exportVdi },
  { method: 'PUT', path: 'vdis/:/content', answer: importVdi },
  { method: 'GET', path: 'disks', answer: asked((administration) => administration.diskList()) },
  {
    method: 'POST',
    path: 'disks/add',
    answer: told(diskAddRequest, ({ administration }, { directory }) => administration.diskAdd(directory)),
  },
  {
    method: 'POST',
    path: 'disks/remove',
    answer: told(diskRemoveRequest, ({ administration }, { disk }) => administration.diskRemove(disk)),
  },
  { method: 'GET', path: 'works/:', answer: followWork },
];

/**
 * Finds the route of a method and a path (as it came, percent-encoded, without the query).
 *
 * @throws AdministrationError NOT_FOUND, INVALID.
 */
export function findRoute(method: string, path: string): { answer: Route['answer']; parameter: string } {
  const segments = path.split('/').slice(1);
  if (segments.shift() !== 'v1') throw unknownRequest(method, path);
  for (const route of ROUTES) {
    const wanted = route.path.split('/');
    if (route.method !== method || wanted.length !== segments.length) continue;
    if (!wanted.every((segment, index) => segment === ':' || segment === segments[index])) continue;
    const at = wanted.indexOf(':');
    return { answer: route.answer, parameter: at < 0 ? '' : decode(segments[at]!) };
  }
  throw unknownRequest(method, path);
}

function asked(ask: (administration: Administration, parameter: string) => Promise<unknown>): Route['answer'] {
  return async ({ administration, parameter, query, response }) => {
    check(noQuery, query);
    sendJson(response, 200, await ask(administration, parameter));
  };
}

function told<T>(schema: z.ZodType<T>, carryOut: (call: Call, body: T) => Promise<unknown>): Route['answer'] {
  return async (call) => {
    check(noQuery, call.query);
    const body = check(schema, await readJson(call.request));
    const answer = await carryOut(call, body);
    sendJson(call.response, 200, answer === undefined ? {} : answer);
  };
}

function toNode(tell: (administration: Administration, which: string) => Promise<unknown>): Route['answer'] {
  return told(emptyRequest, ({ administration, parameter }) => tell(administration, parameter));
}

async function deleteVdi({ administration, parameter, query, response }: Call): Promise<void> {
  const { force } = check(deleteQuery, query);
  await administration.vdiDelete(parameter, { force: force !== undefined });
  sendJson(response, 200, {});
}

async function exportVdi(call: Call): Promise<void> {
  check(noQuery, call.query);
  await sendExport(await call.administration.vdiExport(call.parameter), call);
}

async function importVdi(call: Call): Promise<void> {
  const { size } = check(importQuery, call.query);
  const started = await call.administration.vdiImport(call.parameter, { size });
  sendJson(call.response, 200, await receiveImport(started, call));
}

async function followWork(call: Call): Promise<void> {
  check(noQuery, call.query);
  await sendProgress(call.administration.followWork(call.parameter, call.signal), call);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new AdministrationError('INVALID', 'a name is no UTF-8');
  }
}

function unknownRequest(method: string, path: string): AdministrationError {
  return new AdministrationError(
    'NOT_FOUND',
    `the daemon knows no request ${method} ${path}`,
    'dog and sheep should be of one version',
  );
}
