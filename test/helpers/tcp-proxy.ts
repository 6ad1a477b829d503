import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Teardowns } from './scope.js';

/** A network between two hosts that can be cut without either end being told. */
export class TcpProxy {
  /** Connections that were made so far. */
  connections = 0;
  /** Where new connections lead to. */
  port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Both ends of each connection, in the order in which they were made. */
  readonly #pairs: (readonly [Socket, Socket])[] = [];
  #isCut = false;

  private constructor(port: number) {
    this.port = port;
    this.#server = createServer((near) => {
      this.connections++;
      const far = connect(this.port, '127.0.0.1');
      this.#pairs.push([near, far]);
      this.#forward(near, far);
      this.#forward(far, near);
    });
  }

  /** To a port of this machine. */
  static async open(t: Teardowns, port: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    t.teardown(() => proxy.close());
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Nothing passes any more, not even the end of a connection. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** Nothing passes any more by the connection that was made as number `index`. */
  cutOne(index: number): void {
    for (const socket of this.#pairs[index]!) socket.pause();
  }

  /** What was held up goes on. */
  heal(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.resume();
  }

  /** Resets all connections that there are. */
  reset(): void {
    for (const socket of [...this.#sockets]) socket.resetAndDestroy();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #forward(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    if (this.#isCut) from.pause();
    from.on('data', (chunk) => {
      if (to.write(chunk)) return;
      from.pause();
      to.once('drain', () => {
        if (!this.#isCut) from.resume();
      });
    });
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      // A host that went away while the network was cut tells nobody.
      if (!this.#isCut) to.destroy();
    });
  }
}
