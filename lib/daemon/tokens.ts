import { AdministrationError, type Token } from '../control/administration.js';

/** Seconds that a token is good for unless told otherwise, and at most. */
const TTL_SECONDS = 60 * 60 * 24; // a day
const TTL_SECONDS_MAX = TTL_SECONDS * 366;
const USES_MAX = 9999;

export interface TokensOptions {
  /** Null: this host is alone, and others cannot join yet. */
  readonly make: ((options: { ttlMs: number; uses: number | null }) => Promise<string>) | null;
  /** Has the host become one that others can join; the daemon starts anew then. Rejects with AdministrationError. */
  form(): Promise<void>;
}

/** What other hosts need to join. */
export class Tokens {
  readonly #options: TokensOptions;
  #forming: Promise<void> | null = null;

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /** Null where the daemon has to start anew for it: ask again then. Rejects with AdministrationError. */
  async make(options: { ttlSeconds?: number; uses?: number }): Promise<Token | null> {
    const { ttlSeconds = TTL_SECONDS, uses = null } = options;
    if (ttlSeconds > TTL_SECONDS_MAX) {
      throw new AdministrationError('INVALID', 'a token is good for a year at most', 'make another one later');
    }
    if (uses !== null && uses > USES_MAX) {
      throw new AdministrationError('INVALID', `a token is good for ${USES_MAX} hosts at most`, 'leave --uses out');
    }
    const { make, form } = this.#options;
    if (make === null) {
      this.#forming ??= form().finally(() => {
        this.#forming = null;
      });
      await this.#forming;
      return null;
    }
    const token = await make({ ttlMs: ttlSeconds * 1000, uses });
    return { token, expires: new Date(Date.now() + ttlSeconds * 1000).toISOString(), uses };
  }
}
