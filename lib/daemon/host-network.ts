import type { LinkEvents, Links } from '../net/links.js';
import type { Message } from '../replication/messages.js';

/** How a host of several reaches the others; a host alone has none. */
export interface HostNetwork {
  /** Of the host's identity in the swarm, in hexadecimal. */
  readonly publicKey: string;
  /** `HOST:PORT`, where this host can be reached. */
  readonly addresses: readonly string[];
  /** Begins to connect; what comes of it goes to `events`. */
  attach(events: LinkEvents<Message>): Links<Message>;
}
