import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';

/**
 * The sockets of one gRPC channel. The library waits for ever for a handshake that the other side does not answer, also
 * when the channel is closed; so they are kept here, and ended with it.
 */
export class EtcdSockets {
  readonly #sockets = new Set<Socket>();
  #closed = false;

  /** Credentials that do what the given ones do, and note the sockets for which they are used. */
  noting(credentials: ChannelCredentials): ChannelCredentials {
    const noting: ChannelCredentials = Object.create(credentials);
    noting._createSecureConnector = (...parameters) => {
      const connector = credentials._createSecureConnector(...parameters);
      const connect = connector.connect.bind(connector);
      connector.connect = (socket) => {
        this.#add(socket);
        return connect(socket);
      };
      return connector;
    };
    return noting;
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    if (this.#closed) socket.destroy();
  }
}
