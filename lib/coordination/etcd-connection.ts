import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  connectivityState,
  Metadata,
} from '@grpc/grpc-js';
import type { Method } from './etcd-methods.js';
import { EtcdSockets } from './etcd-sockets.js';

/** A range of many keys of up to 1 MiB each comes in one message. */
const RECEIVE_BYTES_MAX = 1024 * 1024 * 1024;
const RECONNECT_MS_MIN = 50;
const RECONNECT_MS_MAX = 500;
/** A server by default ends connections that are pinged more often than every 5 s. */
const KEEPALIVE_MS = 6000;
const KEEPALIVE_TIMEOUT_MS = 2000;
/** A connection that is not made in this time is tried from scratch: the kernel would wait ever longer between tries. */
const CONNECT_MS_MAX = 5000;

const OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': RECEIVE_BYTES_MAX,
  'grpc.max_send_message_length': -1,
  'grpc.initial_reconnect_backoff_ms': RECONNECT_MS_MIN,
  'grpc.min_reconnect_backoff_ms': RECONNECT_MS_MIN,
  'grpc.max_reconnect_backoff_ms': RECONNECT_MS_MAX,
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  // What is sent twice might be done twice.
  'grpc.enable_retries': 0,
  // Connections that are to be separate are.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
};

/** One gRPC connection to an etcd member, made anew whenever it is lost. */
export class EtcdConnection {
  readonly #target: string;
  readonly #credentials: ChannelCredentials;
  readonly #options: ChannelOptions;
  #client: Client;
  #sockets: EtcdSockets;
  /** Since when it is not there; null while it is. */
  #lostAtMs: number | null = null;
  #closed = false;

  constructor(target: string, credentials: ChannelCredentials, options: ChannelOptions = {}) {
    this.#target = target;
    this.#credentials = credentials;
    this.#options = { ...OPTIONS, ...options };
    this.#sockets = new EtcdSockets();
    this.#client = this.#connect();
  }

  get isReady(): boolean {
    return this.#state(false) === connectivityState.READY;
  }

  /** Answers whether it is there; false once a try to make it has failed. Never waits beyond `deadline` (Date.now()). */
  async ready(deadline: number): Promise<boolean> {
    for (;;) {
      const state = this.#state(true);
      if (state === connectivityState.READY) return true;
      if (this.#closed || this.#isOverdue()) return false;
      if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) return false;
      const channel = this.#client.getChannel();
      const timedOut = await new Promise<boolean>((resolve) => {
        channel.watchConnectivityState(state, deadline, (error) => resolve(error !== undefined));
      });
      if (timedOut) return false;
    }
  }

  /**
   * Sends a request that is serialized already. Rejects with gRPC's error, or with the signal's reason when that is
   * aborted: it may have been carried out all the same.
   */
  unary<Request, Response>(
    method: Method<Request, Response>,
    request: Buffer,
    deadline: number,
    signal: AbortSignal,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const cancel = () => {
        call.cancel();
        reject(signal.reason as Error);
      };
      const call = this.#client.makeUnaryRequest(
        method.path,
        asIs,
        method.deserialize,
        request,
        new Metadata(),
        { deadline },
        (error, response) => {
          signal.removeEventListener('abort', cancel);
          if (error) reject(error);
          else resolve(response!);
        },
      );
      signal.addEventListener('abort', cancel, { once: true });
    });
  }

  /** A stream that the member ends when it has no leader, as it would hear of nothing then. */
  duplex<Request, Response>(method: Method<Request, Response>): ClientDuplexStream<Request, Response> {
    const metadata = new Metadata();
    metadata.set('hasleader', 'true');
    return this.#client.makeBidiStreamRequest(method.path, method.serialize, method.deserialize, metadata);
  }

  /** Breaks off what is under way. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#disconnect();
  }

  #connect(): Client {
    return new Client(this.#target, this.#sockets.noting(this.#credentials), this.#options);
  }

  #disconnect(): void {
    this.#client.close();
    this.#sockets.close();
  }

  #state(tryToConnect: boolean): connectivityState {
    const state = this.#client.getChannel().getConnectivityState(tryToConnect && !this.#closed);
    if (state === connectivityState.READY) this.#lostAtMs = null;
    else if (tryToConnect) this.#lostAtMs ??= performance.now();
    return state;
  }

  #isOverdue(): boolean {
    if (this.#lostAtMs === null || performance.now() - this.#lostAtMs < CONNECT_MS_MAX) return false;
    this.#disconnect();
    this.#sockets = new EtcdSockets();
    this.#client = this.#connect();
    this.#lostAtMs = null;
    return true;
  }
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
