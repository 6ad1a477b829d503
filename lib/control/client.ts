import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type {
  ClusterInfo,
  DiskStatus,
  Extent,
  ForcedRemoval,
  HostStatus,
  RecoveryStatus,
  Status,
  Token,
  VdiInfo,
  WorkStatus,
} from './administration.js';
import { ClientError } from './client-error.js';
import { decodeFrames, encodeDataHeader, encodeEnd } from './frames.js';
import { SIZE_HEADER, USED_HEADER } from './streams.js';
import { ControlTransport, refusal } from './transport.js';

/** For what the daemon answers from memory, and for what it may have to do first. */
const ASK_DEADLINE_MS = 30_000;
const DO_DEADLINE_MS = 300_000;
const SEND_BUFFER_BYTES = 1024 * 1024;
/** Of one line that tells how far a work is. */
const LINE_LENGTH_MAX = 64 * 1024;

export interface ExportStream {
  /** Bytes of the image, and of what is coming where it is known. */
  size: number;
  used: number | null;
  /** Ends only when all of it was received. */
  extents: AsyncIterable<Extent>;
}

/**
 * Asks a daemon over its control socket. What the daemon refuses is thrown as its own AdministrationError; that it
 * cannot be asked, as ClientError.
 */
export class ControlClient {
  private readonly transport: ControlTransport;

  constructor(path: string) {
    this.transport = new ControlTransport(path);
  }

  status(): Promise<Status> {
    return this.ask('status');
  }

  clusterInfo(): Promise<ClusterInfo> {
    return this.ask('cluster');
  }

  async shutdown(options: { force: boolean }): Promise<void> {
    await this.tell('shutdown', options);
  }

  /** The signal gives the question up. */
  recovery(signal?: AbortSignal): Promise<RecoveryStatus> {
    return this.transport.json('GET', 'recovery', null, ASK_DEADLINE_MS, signal);
  }

  /** Null where the daemon starts anew for it: ask again. @throws ClientError NO_ANSWER after `deadlineMs`. */
  token(options: { ttlSeconds?: number; uses?: number }, deadlineMs: number): Promise<Token | null> {
    return this.transport.json('POST', 'cluster/token', options, deadlineMs);
  }

  nodeList(): Promise<HostStatus[]> {
    return this.ask('nodes');
  }

  nodeDrain(which: string): Promise<WorkStatus> {
    return this.tell(`${node(which)}/drain`, {});
  }

  async nodeUndrain(which: string): Promise<void> {
    await this.tell(`${node(which)}/undrain`, {});
  }

  nodeRemove(which: string): Promise<WorkStatus> {
    return this.tell(`${node(which)}/remove`, {});
  }

  nodeForceRemove(which: string): Promise<ForcedRemoval> {
    return this.tell(`${node(which)}/force-remove`, {});
  }

  vdiList(): Promise<VdiInfo[]> {
    return this.ask('vdis');
  }

  vdiInfo(name: string): Promise<VdiInfo> {
    return this.ask(vdi(name));
  }

  vdiCreate(name: string, size: number, options: { copies?: number }): Promise<VdiInfo> {
    return this.tell('vdis', { name, size, ...options });
  }

  vdiResize(name: string, size: number, options: { shrink: boolean }): Promise<VdiInfo> {
    return this.tell(`${vdi(name)}/resize`, { size, ...options });
  }

  async vdiDelete(name: string, { force }: { force: boolean }): Promise<void> {
    await this.transport.json('DELETE', `${vdi(name)}${force ? '?force=true' : ''}`, null, DO_DEADLINE_MS);
  }

  vdiClone(name: string, newName: string): Promise<VdiInfo> {
    return this.tell(`${vdi(name)}/clone`, { name: newName });
  }

  async vdiExport(name: string, signal: AbortSignal): Promise<ExportStream> {
    const response = await this.transport.open('GET', `${vdi(name)}/content`, signal);
    const used = response.headers[USED_HEADER];
    return {
      size: Number(response.headers[SIZE_HEADER]),
      used: used === undefined ? null : Number(used),
      extents: this.extentsOf(response),
    };
  }

  /**
   * Sends an image. `content` yields extents in ascending order, whose data it gives away, and returns the size of the
   * whole; when it throws, the daemon forgets the image and the error is thrown on. `size`: bytes that are expected,
   * where known.
   */
  async vdiImport(
    name: string,
    content: AsyncGenerator<Extent, number>,
    size: number | null,
    signal: AbortSignal,
  ): Promise<VdiInfo> {
    const query = size === null ? '' : `?size=${size}`;
    const asking = this.transport.start('PUT', `${vdi(name)}/content${query}`, signal);
    // A refusal does not wait for the content.
    asking.flushHeaders();
    const body = Readable.from(encodeFrames(content), { objectMode: false, highWaterMark: SEND_BUFFER_BYTES });
    let broken: Error | null = null;
    body.on('error', (error) => {
      broken = error;
      asking.destroy(error);
    });
    body.pipe(asking);
    try {
      return await this.transport.jsonOf<VdiInfo>(await this.transport.answerOf(asking));
    } catch (error) {
      throw broken ?? error;
    } finally {
      body.unpipe(asking);
      body.destroy();
      asking.destroy();
    }
  }

  diskList(): Promise<DiskStatus[]> {
    return this.ask('disks');
  }

  diskAdd(directory: string): Promise<WorkStatus> {
    return this.tell('disks/add', { directory });
  }

  diskRemove(disk: number | string): Promise<WorkStatus> {
    return this.tell('disks/remove', { disk });
  }

  /** Each state of a work until it ends. @throws ClientError CONNECTION_LOST when the daemon goes away before that. */
  async *followWork(id: string, signal: AbortSignal): AsyncGenerator<WorkStatus, void> {
    const response = await this.transport.open('GET', `works/${encodeURIComponent(id)}`, signal);
    let ended = false;
    try {
      for await (const line of linesOf(response)) {
        const state = JSON.parse(line) as WorkStatus;
        ended = state.state !== 'running';
        yield state;
      }
    } catch (error) {
      throw this.transport.translate(error as Error);
    }
    if (!ended) throw ClientError.lost();
  }

  /** Whether a daemon takes connections. */
  async isAnswering(): Promise<boolean> {
    try {
      await this.status();
      return true;
    } catch (error) {
      if (error instanceof ClientError && (error.code === 'NOT_RUNNING' || error.code === 'CONNECTION_LOST'))
        return false;
      return true;
    }
  }

  private ask<T>(target: string): Promise<T> {
    return this.transport.json('GET', target, null, ASK_DEADLINE_MS);
  }

  private tell<T>(target: string, body: unknown): Promise<T> {
    return this.transport.json('POST', target, body, DO_DEADLINE_MS);
  }

  private async *extentsOf(response: IncomingMessage): AsyncGenerator<Extent, void> {
    try {
      for await (const frame of decodeFrames(response)) {
        if (frame.type === 'data') yield frame;
        if (frame.type === 'error') throw refusal(JSON.parse(frame.text)) ?? ClientError.lost();
      }
    } catch (error) {
      throw this.transport.translate(error as Error);
    }
  }
}

function vdi(name: string): string {
  return `vdis/${encodeURIComponent(name)}`;
}

function node(which: string): string {
  return `nodes/${encodeURIComponent(which)}`;
}

async function* encodeFrames(content: AsyncGenerator<Extent, number>): AsyncGenerator<Uint8Array, void> {
  try {
    for (;;) {
      const next = await content.next();
      if (next.done) return yield encodeEnd(next.value);
      yield encodeDataHeader(next.value.offset, next.value.data.length);
      yield next.value.data;
    }
  } finally {
    await content.return(0);
  }
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string, void> {
  let rest = '';
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LINE_LENGTH_MAX) throw new Error('a line is too long');
    yield* lines;
  }
}
