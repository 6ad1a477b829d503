import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Administration, AdministrationError } from './administration.js';
import { sendError } from './http.js';
import type { Metrics } from './metrics.js';
import { findRoute } from './routes.js';
import { listenPrivately } from './socket.js';

const CONNECTIONS_MAX = 64;
const HEADERS_DEADLINE_MS = 10_000;
/** At the end, for answers under way. */
const CLOSE_GRACE_MS = 2000;
/** And then for what has to be undone. */
const UNDO_GRACE_MS = 10_000;

export interface ControlServerOptions {
  /** Path of the socket. */
  path: string;
  administration: Administration;
  metrics: Metrics;
  /** Is told of errors that are defects of ours, to log them. */
  onDefect: (error: unknown) => void;
}

/** Lets `dog` and Prometheus talk to the daemon: HTTP on a UNIX socket that only its owner may open. */
export class ControlServer {
  private readonly options: ControlServerOptions;
  private readonly server: Server;
  private readonly ending = new AbortController();
  private readonly answering = new Set<Promise<void>>();
  private closing: Promise<void> | null = null;

  private constructor(options: ControlServerOptions) {
    this.options = options;
    // An import takes as long as it takes: requests in JSON have a deadline of their own.
    this.server = createServer({ requestTimeout: 0, headersTimeout: HEADERS_DEADLINE_MS }, (request, response) => {
      const answering = this.answer(request, response).finally(() => this.answering.delete(answering));
      this.answering.add(answering);
    });
    this.server.maxConnections = CONNECTIONS_MAX;
  }

  /** @throws SocketError when the path is taken or cannot be one; a system error when it cannot be made. */
  static async open(options: ControlServerOptions): Promise<ControlServer> {
    const control = new ControlServer(options);
    await listenPrivately(control.server, options.path);
    // From here on an error of the listening socket concerns single connections that could not be accepted.
    control.server.on('error', options.onDefect);
    return control;
  }

  /** Ends what is being watched, gives answers under way a moment, and removes the socket. */
  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    this.ending.abort();
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeIdleConnections();
    const timer = setTimeout(() => this.server.closeAllConnections(), CLOSE_GRACE_MS);
    await closed;
    clearTimeout(timer);
    // What a broken connection left to be undone is undone before the daemon takes its store away.
    // A disk that hangs may keep that from ever coming to its end.
    await Promise.race([Promise.all(this.answering), sleep(UNDO_GRACE_MS, undefined, { ref: false })]);
  }

  /** Never throws. */
  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    const end = () => gone.abort();
    response.on('close', end);
    this.ending.signal.addEventListener('abort', end);
    if (this.ending.signal.aborted) end();
    // A connection that breaks ends whatever reads from it or writes to it there.
    request.on('error', () => {});
    response.on('error', () => {});
    try {
      await this.route(request, response, gone.signal);
    } catch (error) {
      if (!(error instanceof AdministrationError)) this.options.onDefect(error);
      if (response.headersSent) response.destroy();
      else sendError(request, response, error);
    } finally {
      this.ending.signal.removeEventListener('abort', end);
    }
  }

  private async route(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { administration, onDefect } = this.options;
    const [path = '', search = ''] = (request.url ?? '').split('?', 2);
    if (path === '/metrics' && request.method === 'GET') return this.sendMetrics(response);
    const { answer, parameter } = findRoute(request.method ?? '', path);
    const query = Object.fromEntries(new URLSearchParams(search));
    await answer({ administration, request, response, parameter, query, signal, onDefect });
  }

  private async sendMetrics(response: ServerResponse): Promise<void> {
    const { administration, metrics, onDefect } = this.options;
    // Counters are of most use just when the rest cannot be told.
    const missing = (error: unknown) => {
      onDefect(error);
      return null;
    };
    const [status, recovery] = await Promise.all([
      administration.status().catch(missing),
      administration.recovery().catch(missing),
    ]);
    const text = await metrics.render(status, recovery);
    response.writeHead(200, { 'content-type': metrics.contentType });
    response.end(text);
  }
}
