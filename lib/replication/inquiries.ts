import type { Reply } from './messages.js';

/** Sends to a host, its own included; what cannot be sent now is asked for by `linkOpened`. */
export type Send = (host: string, message: { request: number }) => void;

interface Inquiry {
  readonly host: string;
  readonly message: { request: number };
  readonly resolve: (reply: Reply | null) => void;
}

/** Questions between hosts that are answered once. Each goes again by every new session until it is answered or given up. */
export class Inquiries {
  readonly #send: Send;
  readonly #open = new Map<number, Inquiry>();
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
  ): { answer: Promise<Reply | null>; cancel(): void } {
    const message = build(this.nextRequest());
    const answer = new Promise<Reply | null>((resolve) => {
      this.#open.set(message.request, { host, message, resolve });
    });
    this.#send(host, message);
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
    for (const [request, { host }] of this.#open) if (isGone(host)) this.#end(request, null);
  }

  #end(request: number, reply: Reply | null): boolean {
    const inquiry = this.#open.get(request);
    if (!inquiry) return false;
    this.#open.delete(request);
    inquiry.resolve(reply);
    return true;
  }
}
