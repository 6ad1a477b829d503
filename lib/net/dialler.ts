import type { Channel } from './channel.js';

/** Addresses that are dialled at the same time; the others in the next round. */
const DIALS_PARALLEL = 4;

/** Between a round that came to nothing and the next one: twice as long each time, and up to half of it less. */
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 1000;

/** Dials a host by all its addresses in turn, for ever, until it is told to stop. */
export class Dialler {
  readonly #begin: (address: string) => Channel;
  #addresses: readonly string[] = [];
  /** Of the addresses: where the next round begins. */
  #next = 0;
  /** What was begun and has not closed. */
  readonly #round = new Set<Channel>();
  /** Rounds since there was a session that lasted. */
  #rounds = 0;
  #timer: NodeJS.Timeout | null = null;
  #isOn = false;

  /** `begin` answers a channel that tells `greeted` and `closed` here, later. */
  constructor(begin: (address: string) => Channel) {
    this.#begin = begin;
  }

  /** Other addresses than before are dialled at once. */
  set addresses(addresses: readonly string[]) {
    const known = new Set(this.#addresses);
    const hasNew = addresses.some((address) => !known.has(address));
    this.#addresses = addresses;
    if (!hasNew) return;
    this.#next = 0;
    this.#rounds = 0;
    // Beside those that are under way, of which some may take long to fail.
    if (this.#isOn) this.#schedule();
  }

  start(): void {
    if (this.#isOn) return;
    this.#isOn = true;
    if (this.#round.size === 0) this.#schedule();
  }

  /** Gives up what is under way. */
  stop(): void {
    this.#isOn = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#giveUpAllBut(null);
  }

  /** A session was there for long: the next pauses are short again. */
  lasted(): void {
    this.#rounds = 0;
  }

  /** The host answers by this one: the others are not needed. */
  greeted(channel: Channel): void {
    if (this.#round.has(channel)) this.#giveUpAllBut(channel);
  }

  /** A channel of the round has closed, or has become the session's. */
  ended(channel: Channel): void {
    if (this.#round.delete(channel) && this.#round.size === 0 && this.#isOn) this.#schedule();
  }

  #giveUpAllBut(kept: Channel | null): void {
    const others = [...this.#round].filter((channel) => channel !== kept);
    for (const channel of others) this.#round.delete(channel);
    for (const channel of others) channel.close('superfluous');
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const pauseMs = this.#rounds === 0 ? 0 : Math.min(PAUSE_MS_MIN * 2 ** (this.#rounds - 1), PAUSE_MS_MAX);
    this.#timer = setTimeout(() => this.#dial(), pauseMs * (1 - Math.random() / 2));
  }

  #dial(): void {
    this.#timer = null;
    this.#rounds++;
    const { length } = this.#addresses;
    const count = Math.min(length, DIALS_PARALLEL);
    for (let index = 0; index < count; index++) {
      this.#round.add(this.#begin(this.#addresses[(this.#next + index) % length]!));
    }
    this.#next = length === 0 ? 0 : (this.#next + count) % length;
  }
}
