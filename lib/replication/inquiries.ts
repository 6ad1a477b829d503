import type { Reply } from './messages.js';

/** Sends to a host, its own included; what cannot be sent now is asked for by `linkOpened`. */
export type Send = (host: string, message: { request: number }) => void;

/**
 * Questions to one host that have no answer; more wait here to be sent. What has to get through, such as a fence, does so
 * whatever waits, and is not counted.
 */
export const INQUIRIES_PER_HOST_MAX = 256;

interface Inquiry {
  readonly host: string;
  /** Whether it waits for no other, and none for it. */
  readonly ahead: boolean;
  readonly message: { request: number };
  readonly resolve: (reply: Reply | null) => void;
}

/** Questions between hosts that are answered once. Each goes again by every new session until it is answered or given up. */
export class Inquiries {
  readonly #send: Send;
  readonly #open = new Map<number, Inquiry>();
  /** Those that are not sent yet, in their order. */
  readonly #waiting = new Map<number, Inquiry>();
  /** By host, how many are sent and counted. */
  readonly #sent = new Map<string, number>();
  #request = 0;

  constructor(send: Send) {
    this.#send = send;
  }

  /** A number that no other request of this process has. */
  nextRequest(): number {
    return ++this.#request;
  }

  /** Resolves with the answer, or null once `cancel` is called: by then it may have been carried out. */
  ask(
    host: string,
    build: (request: number) => { request: number },
    ahead = false,
  ): { answer: Promise<Reply | null>; cancel(): void } {
    const message = build(this.nextRequest());
    const answer = new Promise<Reply | null>((resolve) => {
      const inquiry = { host, ahead, message, resolve };
      if (ahead || this.#sentTo(host) < INQUIRIES_PER_HOST_MAX) this.#begin(inquiry);
      else this.#waiting.set(message.request, inquiry);
    });
    return { answer, cancel: () => this.#end(message.request, null) };
  }

  /** Answers whether the reply was one to a question here. */
  replied(reply: Reply): boolean {
    return this.#end(reply.request, reply);
  }

  linkOpened(host: string): void {
    for (const inquiry of this.#open.values()) if (inquiry.host === host) this.#send(host, inquiry.message);
  }

  /** Gives up what was asked of hosts that cannot answer any more. */
  cancelWhere(isGone: (host: string) => boolean): void {
    for (const inquiries of [this.#waiting, this.#open]) {
      for (const [request, { host }] of inquiries) if (isGone(host)) this.#end(request, null);
    }
  }

  #begin(inquiry: Inquiry): void {
    const { host, ahead, message } = inquiry;
    this.#open.set(message.request, inquiry);
    if (!ahead) this.#sent.set(host, this.#sentTo(host) + 1);
    this.#send(host, message);
  }

  #end(request: number, reply: Reply | null): boolean {
    const waiting = this.#waiting.get(request);
    if (waiting) {
      this.#waiting.delete(request);
      waiting.resolve(null);
      return true;
    }
    const inquiry = this.#open.get(request);
    if (!inquiry) return false;
    this.#open.delete(request);
    inquiry.resolve(reply);
    if (!inquiry.ahead) this.#endedAt(inquiry.host);
    return true;
  }

  #endedAt(host: string): void {
    const sent = this.#sentTo(host) - 1;
    if (sent > 0) this.#sent.set(host, sent);
    else this.#sent.delete(host);
    for (const [request, inquiry] of this.#waiting) {
      if (inquiry.host !== host) continue;
      this.#waiting.delete(request);
      this.#begin(inquiry);
      return;
    }
  }

  #sentTo(host: string): number {
    return this.#sent.get(host) ?? 0;
  }
}
