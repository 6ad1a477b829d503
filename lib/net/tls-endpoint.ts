import type { AddressInfo, Socket } from 'node:net';
import { connect, createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import { type HostPort, parseHostPort } from './address.js';
import { hostOf, serverNameOf } from './authority.js';
import type { ByteStream } from './byte-stream.js';
import type { CloseReason } from './close-reason.js';
import type { HostCredentials } from './credentials.js';
import { NetError } from './net-error.js';

/** AES in hardware is faster than the alternative on all machines that run guests, and 128 bits are enough. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

/** Until an attempt to connect has come to TLS on both ends. */
const HANDSHAKE_MS = 3000;

/** Connections on which TLS is being agreed on, of whoever has reached the port. At it, the next one is closed. */
const HANDSHAKES_MAX = 256;

/** For connections that have no session; those that have one send beats. */
const KEEPALIVE_MS = 10_000;

/** One of the two is called, once, and not before `dial` has returned; none when it was given up. */
export interface Dialled {
  connected(stream: ByteStream): void;
  failed(reason: CloseReason): void;
}

export interface TlsEndpointOptions {
  readonly credentials: HostCredentials;
  /** Port 0: any that is free. */
  readonly listen: HostPort;
  /** A connection whose other end has shown to be that host of the cluster. */
  accepted(host: string, socket: TLSSocket): void;
  refused(reason: CloseReason): void;
}

/** TLS 1.3 with certificates of the cluster's authority at both ends: the port that others dial, and dialling. */
export class TlsEndpoint {
  readonly #server: Server;
  readonly #context: SecureContext;
  readonly #options: TlsEndpointOptions;
  /** All that were accepted and are open, and those of them on which TLS is agreed on. */
  readonly #sockets = new Set<Socket>();
  #secure = 0;
  #closing: Promise<void> | null = null;

  /** Throws NetError PORT_IN_USE, NO_ACCESS. */
  static async open(options: TlsEndpointOptions): Promise<TlsEndpoint> {
    const endpoint = new TlsEndpoint(options);
    await endpoint.#listen();
    return endpoint;
  }

  private constructor(options: TlsEndpointOptions) {
    this.#options = options;
    const { authority, certificate, privateKey } = options.credentials;
    const identity = { ca: authority.certificate, cert: certificate, key: privateKey };
    const protocol = { minVersion: 'TLSv1.3', ciphers: CIPHERS, honorCipherOrder: true } as const;
    this.#context = createSecureContext({ ...identity, ...protocol });
    this.#server = createServer({
      ...{ ...identity, ...protocol, requestCert: true, rejectUnauthorized: true, handshakeTimeout: HANDSHAKE_MS },
      ...{ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS },
    });
    // A connection that could not be accepted, for want of descriptors: the others go on. That the port cannot be had is
    // told by `open`.
    this.#server.on('error', () => options.refused('closed'));
    this.#server.on('connection', (socket) => this.#arrived(socket));
    this.#server.on('secureConnection', (socket) => this.#accept(socket));
    this.#server.on('tlsClientError', (error, socket) => options.refused(refusalOf(error, socket)));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Makes a connection on which the other end is that host. Answers what gives it up. */
  dial(host: string, address: string, dialled: Dialled): () => void {
    const target = targetOf(address);
    if (target === null) {
      const timer = setTimeout(() => dialled.failed('unreachable'));
      return () => clearTimeout(timer);
    }
    const socket = connect({
      ...{ ...target, secureContext: this.#context, rejectUnauthorized: true, minVersion: 'TLSv1.3' as const },
      // The name has to be in the certificate; the address, which may have changed, need not.
      servername: serverNameOf(host),
    });
    let isOver = false;
    const once = (act: () => void) => {
      if (isOver) return;
      isOver = true;
      act();
    };
    const fail = (reason: CloseReason) => {
      socket.destroy();
      once(() => dialled.failed(reason));
    };
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.setTimeout(HANDSHAKE_MS, () => fail('timeout'));
    socket.on('error', (error) => fail(failureOf(error)));
    socket.on('close', () => fail('closed'));
    socket.on('secureConnect', () => {
      socket.setTimeout(0);
      if (hostOfPeer(socket) !== host) fail('wrong-host');
      else once(() => dialled.connected(socket));
    });
    return () => once(() => socket.destroy());
  }

  /** Ends all that was accepted. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
    return this.#closing;
  }

  #listen(): Promise<void> {
    const { host, port } = this.#options.listen;
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(this.#options.listen, error)));
      this.#server.listen({ host, port }, resolve);
    });
  }

  #arrived(socket: Socket): void {
    if (this.#sockets.size - this.#secure >= HANDSHAKES_MAX) {
      socket.destroy();
      this.#options.refused('crowded');
      return;
    }
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #accept(socket: TLSSocket): void {
    this.#secure++;
    socket.on('close', () => this.#secure--);
    // Until somebody else listens: an error that nobody hears ends the process.
    socket.on('error', () => {});
    const host = hostOfPeer(socket);
    if (host !== null) this.#options.accepted(host, socket);
    else {
      socket.destroy();
      this.#options.refused('tls');
    }
  }
}

function listenError(address: HostPort, { code }: NodeJS.ErrnoException): NetError {
  const where = `port ${address.port} of ${address.host}`;
  if (code !== 'EADDRINUSE') return new NetError('NO_ACCESS', `cannot listen on ${where} (${code})`);
  return new NetError('PORT_IN_USE', `${where} is in use by another program; stop it, or name another with --listen`);
}

/** Null for what is no address: hosts tell of their own, and nothing is there where one is wrong. */
function targetOf(address: string): HostPort | null {
  try {
    return parseHostPort(address);
  } catch (error) {
    if (error instanceof NetError) return null;
    throw error;
  }
}

function hostOfPeer(socket: TLSSocket): string | null {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  return certificate === undefined ? null : hostOf(certificate);
}

/** Why a connection that somebody else made has not come to TLS. */
function refusalOf(error: NodeJS.ErrnoException, socket: TLSSocket): CloseReason {
  // Where the certificate was not accepted, Node has only closed the socket.
  if (socket.authorizationError) return 'authority';
  if (error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') return 'authority';
  if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'timeout';
  return error.code === 'ECONNRESET' ? 'closed' : 'tls';
}

/** Why a connection that this host made has not come to TLS. */
function failureOf(error: NodeJS.ErrnoException): CloseReason {
  // Of a system call: nobody is there.
  if (error.syscall !== undefined) return error.code === 'ECONNRESET' ? 'closed' : 'unreachable';
  if (error.code === 'ECONNRESET') return 'closed';
  if (error.code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'wrong-host';
  return error.code?.startsWith('ERR_') ? 'tls' : 'authority';
}
