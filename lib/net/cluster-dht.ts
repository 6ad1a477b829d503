import HyperDHT from 'hyperdht';
import { NetError } from './net-error.js';

export type DhtAddress = HyperDHT.Address;

/** An attempt to connect that has not answered is given up: the first after so long, each further one after twice that. */
const ATTEMPT_MS = 1000; // 1 s
const ATTEMPT_MS_MAX = 1000 * 16; // 16 s
/** Of an attempt's time, after which it gives way to the other's. */
const GIVE_WAY_SHARE = 0.25;

interface Attempt {
  readonly stream: HyperDHT.SecretStream;
  readonly startedMs: number;
  readonly limitMs: number;
}

export interface ClusterDhtOptions {
  /** UDP. */
  readonly port: number;
  /** The address to bind. */
  readonly host: string;
  /** How others see this host, as far as it knows: an address of IPv4. */
  readonly address: string;
}

/**
 * A node of the cluster's own DHT. It has no list of nodes to start from, and with that nothing to wait for when those are
 * down: whoever answers a ping is taken in.
 *
 * It bounds the time that an attempt to connect takes. One to an address where nobody is any more would else last for
 * many seconds, in which hyperswarm refuses the other's own attempts as duplicates.
 */
export class ClusterDht extends HyperDHT {
  readonly #attempts = new Map<string, Attempt>();
  readonly #limitsMs = new Map<string, number>();
  readonly #routes = new Map<string, DhtAddress>();
  #admits: (publicKey: Buffer) => boolean = () => true;

  /** A persistent node. Throws NetError. */
  static async open({ port, host, address }: ClusterDhtOptions): Promise<ClusterDht> {
    const dht = ClusterDht.bootstrapper(port, address, { host, bootstrap: [], nodes: [], anyPort: false });
    try {
      await dht.bind();
      return dht;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      await dht.destroy({ force: true }).catch(() => {
        // It closes what it could not bind, and says so once more.
      });
      if (code === 'EADDRINUSE') {
        throw new NetError(
          'PORT_IN_USE',
          `UDP port ${port} is in use by another program; stop it, or use another port`,
        );
      }
      throw new NetError('NO_ACCESS', `UDP port ${port} of ${host} cannot be used (${code ?? error})`);
    }
  }

  /** The host with this key answers at this address. */
  setRoute(publicKey: Buffer, address: DhtAddress): void {
    this.#routes.set(publicKey.toString('hex'), address);
  }

  /** The host with this key is dialling this one: an attempt of ours that has not answered for long makes room. */
  giveWay(publicKey: Buffer): void {
    const attempt = this.#attempts.get(publicKey.toString('hex'));
    if (attempt && performance.now() - attempt.startedMs > attempt.limitMs * GIVE_WAY_SHARE) attempt.stream.destroy();
  }

  /** Connections that others have made are dropped unless `admits` answers true at the moment when they are there. */
  setAdmission(admits: (publicKey: Buffer) => boolean): void {
    this.#admits = admits;
  }

  override createServer(
    options: HyperDHT.ServerOptions,
    onconnection: (stream: HyperDHT.SecretStream) => void,
  ): HyperDHT.Server {
    return super.createServer(options, (stream) => {
      if (this.#admits(stream.remotePublicKey)) {
        onconnection(stream);
        return;
      }
      // It is of no interest any more.
      stream.on('error', () => {});
      stream.destroy();
    });
  }

  override connect(publicKey: Buffer, options: HyperDHT.ConnectOptions = {}): HyperDHT.SecretStream {
    const key = publicKey.toString('hex');
    const route = this.#routes.get(key);
    const stream = super.connect(publicKey, route ? { ...options, relayAddresses: [route] } : options);
    const limitMs = this.#limitsMs.get(key) ?? ATTEMPT_MS;
    const attempt = { stream, startedMs: performance.now(), limitMs };
    this.#attempts.set(key, attempt);
    const timer = setTimeout(() => {
      this.#limitsMs.set(key, Math.min(2 * limitMs, ATTEMPT_MS_MAX));
      stream.destroy();
    }, limitMs);
    const settled = () => {
      clearTimeout(timer);
      if (this.#attempts.get(key) === attempt) this.#attempts.delete(key);
    };
    stream.once('open', () => {
      settled();
      this.#limitsMs.delete(key);
    });
    stream.once('close', () => {
      // The next ping that is answered tells the route anew.
      if (this.#attempts.get(key) === attempt) this.#routes.delete(key);
      settled();
    });
    return stream;
  }

  /** Forgets what it knows of the way to the host with this key. */
  forget(publicKey: Buffer): void {
    const key = publicKey.toString('hex');
    this.#routes.delete(key);
    this.#limitsMs.delete(key);
  }
}
