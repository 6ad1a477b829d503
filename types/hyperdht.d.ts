/** The part of hyperdht's interface that lib/net uses; the package ships no types. */
declare module 'hyperdht' {
  import type { EventEmitter } from 'node:events';
  import type { Duplex } from 'node:stream';

  namespace HyperDHT {
    interface KeyPair {
      readonly publicKey: Buffer;
      readonly secretKey: Buffer;
    }

    /** Of IPv4. */
    interface Address {
      readonly host: string;
      readonly port: number;
    }

    interface Options {
      /** A number and the next ones; or those from the first up to the second, and then any. */
      port?: number | readonly [number, number];
      host?: string;
      bootstrap?: readonly Address[];
      nodes?: readonly Address[];
      ephemeral?: boolean;
      firewalled?: boolean;
      anyPort?: boolean;
      keyPair?: KeyPair;
    }

    interface ConnectOptions {
      keyPair?: KeyPair;
      /** Nodes of the DHT by which the peer can be reached, its own among them. */
      relayAddresses?: readonly Address[] | null;
    }

    interface ServerOptions {
      firewall?: (remotePublicKey: Buffer, payload: unknown) => boolean;
    }

    /**
     * A stream of streamx, which does as node's Duplex in what is used here. It keeps the borders of what is written: each
     * `data` is one `write`.
     */
    interface SecretStream extends Duplex {
      readonly isInitiator: boolean;
      readonly publicKey: Buffer;
      readonly remotePublicKey: Buffer;
      /** Of the Noise handshake: the same at both ends, and of no other connection. */
      readonly handshakeHash: Buffer;
      /** The stream below, of UDX. */
      readonly rawStream: Duplex & { readonly remoteHost: string; readonly remotePort: number };
    }

    interface Server extends EventEmitter {
      listen(keyPair: KeyPair): Promise<unknown>;
      /** Has it announce itself anew within seconds. */
      refresh(): void;
      close(): Promise<void>;
    }
  }

  class HyperDHT extends EventEmitter {
    constructor(options?: HyperDHT.Options);
    /** A node that is persistent at once, under the address given: `host` is how others see it. */
    static bootstrapper<T extends typeof HyperDHT>(
      this: T,
      port: number,
      host: string,
      options?: HyperDHT.Options,
    ): InstanceType<T>;
    static keyPair(seed?: Uint8Array): HyperDHT.KeyPair;
    /** Rejects as the binding of its sockets does. */
    bind(): Promise<void>;
    connect(publicKey: Buffer, options?: HyperDHT.ConnectOptions): HyperDHT.SecretStream;
    createServer(
      options: HyperDHT.ServerOptions,
      onconnection: (stream: HyperDHT.SecretStream) => void,
    ): HyperDHT.Server;
    ping(address: HyperDHT.Address, options?: { retry?: boolean }): Promise<unknown>;
    addNode(address: HyperDHT.Address): void;
    toArray(options?: { limit?: number }): HyperDHT.Address[];
    destroy(options?: { force?: boolean }): Promise<void>;
  }

  export = HyperDHT;
}
