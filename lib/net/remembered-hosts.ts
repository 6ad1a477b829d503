import { join } from 'node:path';
import { z } from 'zod';
import { parseHostPort } from './address.js';
import { readIfThere, replaceDurably } from './durable-file.js';
import { DhtAddress, HostId } from './introduction.js';
import { ADDRESSES_MAX } from './local-addresses.js';

/** Hosts that are remembered; more than a cluster has. */
export const REMEMBERED_MAX = 1024;

const FILE = 'hosts.json';
const FORMAT = 1;

/** Of Noise, in hexadecimal. */
export const PublicKey = z.string().regex(/^[0-9a-f]{64}$/);

/** A host, and the ways to it. */
export const KnownAddresses = z.strictObject({
  id: HostId,
  publicKey: PublicKey,
  /** Where it was reached by TCP, or said that it can be, best first. */
  addresses: z.array(z.string().refine(isHostPort)).max(ADDRESSES_MAX),
  /** Where its node of the DHT was. */
  dht: z.array(DhtAddress).max(ADDRESSES_MAX),
});
export type RememberedHost = z.infer<typeof KnownAddresses>;
const Content = z.strictObject({ format: z.literal(FORMAT), hosts: z.array(KnownAddresses).max(REMEMBERED_MAX) });

/**
 * The others of the cluster as this host knew them last, from the file `hosts.json` in `directory`: with it the hosts find
 * each other again after a power cut, though the coordination store has no majority before they have.
 */
export class RememberedHosts {
  readonly #path: string;
  readonly #warn: (line: string) => void;
  #hosts: readonly RememberedHost[];
  /** What the file has. */
  #stored: string;
  #storing: Promise<void> | null = null;

  private constructor(path: string, hosts: readonly RememberedHost[], warn: (line: string) => void) {
    this.#path = path;
    this.#warn = warn;
    this.#hosts = hosts;
    this.#stored = textOf(hosts);
  }

  /** A file that is damaged, or cannot be read, is as one that is not there, but for a line by `warn`. */
  static async open(directory: string, warn: (line: string) => void): Promise<RememberedHosts> {
    const path = join(directory, FILE);
    try {
      const found = await readIfThere(path);
      const hosts = found ? Content.parse(JSON.parse(found.toString())).hosts : [];
      return new RememberedHosts(path, hosts, warn);
    } catch (error) {
      const reason = error instanceof z.ZodError ? (error.issues[0]?.message ?? '') : (error as Error).message;
      warn(`${path} is damaged (${reason}): the other hosts' addresses are forgotten, and have to be found anew`);
      return new RememberedHosts(path, [], warn);
    }
  }

  /** Stores what a host that has just joined got to know. */
  static async begin(directory: string, hosts: readonly RememberedHost[], warn: (line: string) => void): Promise<void> {
    const memory = new RememberedHosts(join(directory, FILE), [], warn);
    memory.replace(hosts);
    await memory.close();
  }

  get hosts(): readonly RememberedHost[] {
    return this.#hosts;
  }

  /** From now on these are remembered, durably before long; a file that cannot be written is said by `warn`. */
  replace(hosts: readonly RememberedHost[]): void {
    this.#hosts = hosts;
    this.#storing ??= this.#store().finally(() => {
      this.#storing = null;
    });
  }

  /** Resolves when the file has what is remembered, or cannot be written. */
  async close(): Promise<void> {
    await this.#storing;
  }

  async #store(): Promise<void> {
    for (;;) {
      const text = textOf(this.#hosts);
      if (text === this.#stored) return;
      try {
        await replaceDurably(this.#path, text);
      } catch (error) {
        // Nothing depends on it while the others are there; the next change tries again.
        this.#warn(`${this.#path} cannot be written (${(error as Error).message}); check the disk it is on`);
        return;
      }
      this.#stored = text;
    }
  }
}

function textOf(hosts: readonly RememberedHost[]): string {
  return `${JSON.stringify({ format: FORMAT, hosts }, null, 2)}\n`;
}

function isHostPort(text: string): boolean {
  try {
    parseHostPort(text);
    return true;
  } catch {
    // That it throws is the answer.
    return false;
  }
}
