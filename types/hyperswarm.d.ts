/** The part of hyperswarm's interface that lib/net uses; the package ships no types. */
declare module 'hyperswarm' {
  import type { EventEmitter } from 'node:events';
  import type HyperDHT from 'hyperdht';

  namespace Hyperswarm {
    interface Options {
      dht: HyperDHT;
      keyPair: HyperDHT.KeyPair;
      maxPeers?: number;
      maxParallel?: number;
      /** Whether the peer is refused; `payload` is null for one that is about to be dialled. */
      firewall?: (remotePublicKey: Buffer, payload: unknown) => boolean;
    }

    interface PeerInfo {
      readonly publicKey: Buffer;
      ban(banned: boolean): void;
    }

    interface Session {
      refresh(): Promise<boolean>;
    }

    interface Events {
      connection: [stream: HyperDHT.SecretStream, peer: PeerInfo];
      ban: [peer: PeerInfo, error: Error];
      update: [];
    }
  }

  class Hyperswarm extends EventEmitter<Hyperswarm.Events> {
    constructor(options: Hyperswarm.Options);
    /** By public key, in hexadecimal. */
    readonly peers: Map<string, Hyperswarm.PeerInfo>;
    readonly server: HyperDHT.Server;
    join(topic: Uint8Array, options?: { server?: boolean; client?: boolean }): Hyperswarm.Session;
    joinPeer(publicKey: Buffer): void;
    leavePeer(publicKey: Buffer): void;
    /** Leaves all topics; never rejects. */
    clear(): Promise<unknown>;
    destroy(options?: { force?: boolean }): Promise<void>;
  }

  export = Hyperswarm;
}
