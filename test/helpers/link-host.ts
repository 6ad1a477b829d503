import type { Authority } from '../../lib/net/authority.js';
import { createCredentials, type HostCredentials } from '../../lib/net/credentials.js';
import type { LinkEvents } from '../../lib/net/links.js';
import { TlsLinks } from '../../lib/net/tls-links.js';
import type { Teardowns } from './scope.js';
import { type TestMessage, testCodec } from './test-codec.js';
import { until } from './until.js';

export interface LinkHostOptions {
  readonly authority: Authority;
  readonly incarnation?: number;
  readonly credentials?: HostCredentials;
  readonly queueBytesMax?: number;
}

export interface Receipt {
  readonly host: string;
  readonly session: number;
  readonly message: TestMessage;
}

/** Host ids in the order of their numbers. */
export function hostId(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

/** One process of a host of a cluster, with its links. Whatever must not happen to it is in `faults`. */
export class LinkHost implements LinkEvents<TestMessage> {
  readonly id: string;
  links!: TlsLinks<TestMessage>;
  /** "opened" or "lost", host and session. */
  readonly events: string[] = [];
  readonly receipts: Receipt[] = [];
  readonly faults: string[] = [];
  readonly banned = new Set<string>();
  /** By host: the open session. */
  readonly sessions = new Map<string, number>();
  onReceived: (receipt: Receipt) => void = () => {};
  onOpened: (host: string, session: number) => void = () => {};
  readonly #last = new Map<string, number>();
  #isCalling = false;

  private constructor(id: string) {
    this.id = id;
  }

  static async open(t: Teardowns, id: string, options: LinkHostOptions): Promise<LinkHost> {
    const host = new LinkHost(id);
    host.links = await TlsLinks.open({
      host: id,
      incarnation: options.incarnation ?? 0,
      credentials: options.credentials ?? (await createCredentials(options.authority, id, [])),
      listen: { host: '127.0.0.1', port: 0 },
      codec: testCodec,
      events: host,
      isAdmitted: (peer) => !host.banned.has(peer),
      queueBytesMax: options.queueBytesMax,
    });
    t.teardown(() => host.links.close(), { force: true });
    return host;
  }

  get address(): string {
    return `127.0.0.1:${this.links.port}`;
  }

  /** To be connected with these: each with the addresses by which it is dialled. */
  connect(...peers: readonly (readonly [host: LinkHost | string, ...addresses: string[]])[]): void {
    const named = peers.map(
      ([host, ...addresses]) => [typeof host === 'string' ? host : host.id, { addresses }] as const,
    );
    this.call(() => this.links.setPeers(new Map(named)));
  }

  send(host: LinkHost, message: TestMessage, session?: number): number | null {
    return this.call(() => this.links.send(host.id, message, session));
  }

  /** Whatever is called meanwhile is called within it. */
  call<T>(act: () => T): T {
    const outer = this.#isCalling;
    this.#isCalling = true;
    try {
      return act();
    } finally {
      this.#isCalling = outer;
    }
  }

  opened(host: string, session: number): void {
    this.#check('opened');
    if (this.sessions.has(host)) this.faults.push(`${session} opened while ${this.sessions.get(host)} is open`);
    if (session <= (this.#last.get(host) ?? 0)) this.faults.push(`${session} opened after ${this.#last.get(host)}`);
    this.sessions.set(host, session);
    this.#last.set(host, session);
    this.events.push(`opened ${host} ${session}`);
    this.onOpened(host, session);
  }

  lost(host: string, session: number): void {
    this.#check('lost');
    if (this.sessions.get(host) !== session)
      this.faults.push(`${session} lost while ${this.sessions.get(host)} is open`);
    this.sessions.delete(host);
    this.events.push(`lost ${host} ${session}`);
  }

  received(host: string, session: number, message: TestMessage): void {
    this.#check('received');
    if (this.sessions.get(host) !== session) {
      this.faults.push(`${message.number} received by ${session} while ${this.sessions.get(host)} is open`);
    }
    const receipt = { host, session, message };
    this.receipts.push(receipt);
    this.onReceived(receipt);
  }

  #check(what: string): void {
    if (this.#isCalling) this.faults.push(`${what} within a call`);
  }
}

/** Waits until both have the same session, higher than `above`; answers it. */
export async function connected(one: LinkHost, other: LinkHost, above = 0, deadlineMs?: number): Promise<number> {
  return await until(
    'a session',
    () => {
      const session = one.sessions.get(other.id);
      return session !== undefined && session > above && session === other.sessions.get(one.id) ? session : null;
    },
    deadlineMs,
  );
}
