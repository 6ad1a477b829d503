import type HyperDHT from 'hyperdht';
import type { Coordination } from '../coordination/coordination.js';
import { AttemptLimit } from './attempt-limit.js';
import { JoinChannel } from './join-channel.js';
import { JOIN_REFUSALS, JoinError, type JoinRefusal } from './join-error.js';
import {
  type Answer,
  isProof,
  JOINER_BYTES_MAX,
  type JoinRequest,
  Proof,
  proofOf,
  Request,
  WELCOME_BYTES_MAX,
  Welcome,
} from './join-messages.js';
import { WireError } from './links.js';
import { joinKeyPair } from './token.js';
import { readToken, useToken, wrongToken } from './token-record.js';

/** Hosts that join at once; a further one is turned away, and comes again. */
const CONNECTIONS_MAX = 16;
/** For each message of the one that joins. */
const STEP_TIMEOUT_MS = 1000 * 10; // 10 s
const WRONG_PROOFS_MAX = 10;
const WRONG_PROOFS_WINDOW_MS = 1000 * 60; // 1 min

export interface JoinServerOptions {
  /** This host's node of the DHT; it stays the caller's. */
  readonly dht: HyperDHT;
  /** The cluster's secret. */
  readonly secret: Uint8Array;
  readonly coordination: Coordination;
  /**
   * Lets a host in that has proved a token, and answers what it needs. To be idempotent: one that lost the answer asks
   * again, with the same id and keys. Rejects with JoinError where it is not to be let in (`REFUSED`), with a message that
   * tells its administrator what to do; after any other error it asks again.
   */
  welcome(request: JoinRequest): Promise<Welcome>;
  readonly log: { info(line: string): void; warn(line: string): void };
  /** Milliseconds since 1970, by which tokens end. */
  readonly now?: () => number;
}

/** Lets hosts in that have a token: every host of the cluster runs one. */
export class JoinServer {
  readonly #options: JoinServerOptions;
  readonly #server: HyperDHT.Server;
  readonly #channels = new Set<JoinChannel>();
  readonly #wrongProofs = new AttemptLimit(WRONG_PROOFS_MAX, WRONG_PROOFS_WINDOW_MS);
  readonly #listening: Promise<void>;
  #closing: Promise<void> | null = null;

  /** Answers at once at this host's node, and soon by the DHT. */
  constructor(options: JoinServerOptions) {
    this.#options = options;
    this.#server = options.dht.createServer({ firewall: () => this.#channels.size >= CONNECTIONS_MAX }, (stream) =>
      this.#connected(stream),
    );
    this.#listening = this.#server.listen(joinKeyPair(options.secret)).then(
      () => {},
      (error) => {
        if (!this.#closing) options.log.warn(`hosts cannot join by this one: ${(error as Error).message}`);
      },
    );
  }

  /**
   * Idempotent; resolves when nothing is left of it. It tells the DHT, which takes seconds where its other nodes are gone:
   * who is in a hurry closes the DHT meanwhile.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const channel of this.#channels) channel.destroy();
    await this.#server.close();
    await this.#listening;
  }

  #connected(stream: HyperDHT.SecretStream): void {
    const channel = new JoinChannel(stream, JOINER_BYTES_MAX);
    this.#channels.add(channel);
    stream.on('close', () => this.#channels.delete(channel));
    if (this.#closing || this.#channels.size > CONNECTIONS_MAX) channel.destroy();
    else void this.#serve(channel);
  }

  /** Never rejects. */
  async #serve(channel: JoinChannel): Promise<void> {
    const from = channel.stream.rawStream.remoteHost;
    try {
      const { host, name } = await this.#letIn(channel, from);
      this.#options.log.info(`host ${name} (${host}) at ${from} has joined the cluster`);
    } catch (error) {
      this.#refuse(channel, from, error as Error);
    }
    await channel.end(STEP_TIMEOUT_MS);
  }

  async #letIn(channel: JoinChannel, from: string): Promise<JoinRequest> {
    const { coordination, welcome, now = Date.now } = this.#options;
    const { handshakeHash, remotePublicKey } = channel.stream;
    const { token, proof } = await channel.receive(Proof, STEP_TIMEOUT_MS);
    if (this.#wrongProofs.isExceeded(from)) {
      throw new JoinError('TOO_MANY_ATTEMPTS', `too many wrong tokens came from ${from}; wait a minute`);
    }
    const record = await readToken(coordination, token);
    if (!record || !isProof(proof, record.key, 'host', handshakeHash)) {
      this.#wrongProofs.count(from);
      throw wrongToken();
    }
    answer(channel, { kind: 'proof', proof: proofOf(record.key, 'cluster', handshakeHash) });
    const { request } = await channel.receive(Request, STEP_TIMEOUT_MS);
    const { host, publicKey } = request;
    if (publicKey !== remotePublicKey.toString('hex')) throw new WireError('a request with the key of another host');
    await useToken(coordination, token, { host, publicKey }, now());
    const welcomed = Welcome.parse(await welcome(request));
    const bytes = Buffer.byteLength(JSON.stringify(welcomed));
    if (bytes > WELCOME_BYTES_MAX - 1024) throw new Error(`an answer of ${bytes} bytes`);
    answer(channel, { kind: 'welcome', welcome: welcomed });
    return request;
  }

  #refuse(channel: JoinChannel, from: string, error: Error): void {
    const { log } = this.#options;
    // It is gone, or what it says is not to be answered.
    if (channel.stream.destroyed || this.#closing) return;
    if (error instanceof WireError) {
      log.warn(`a host at ${from} that joins says what it may not: ${error.message}`);
      channel.destroy();
      return;
    }
    const { code, message } = refusalOf(error);
    log.warn(`a host at ${from} was not let in: ${error.message}`);
    answer(channel, { kind: 'refused', code, reason: message.slice(0, 1000) });
  }
}

function refusalOf(error: Error): { code: JoinRefusal; message: string } {
  const code = error instanceof JoinError && JOIN_REFUSALS.find((refusal) => refusal === error.code);
  if (code) return { code, message: error.message };
  return { code: 'NOT_NOW', message: 'the cluster cannot let a host in at the moment; see the log of its hosts' };
}

function answer(channel: JoinChannel, message: Answer): void {
  channel.send(message);
}
