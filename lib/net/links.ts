/**
 * Messages between the hosts of a cluster. Between two hosts there is at most one session that is open to both; its
 * number grows with each new one of the pair. Within a session messages arrive in order, none is lost before the session
 * is; what was sent by one that is lost may arrive late all the same, with its old number, and is the receiver's to drop.
 */
export interface Links<Message> {
  /**
   * Sends by the open session, or not at all where it is another one than `session`. Answers its number, or null where
   * nothing was sent.
   */
  send(host: string, message: Message, session?: number): number | null;
}

export interface LinkEvents<Message> {
  /** A session with the host is open, and every older one of the pair is closed. */
  opened(host: string, session: number): void;
  /** The session is gone; what it did not answer will not be answered by it. */
  lost(host: string, session: number): void;
  received(host: string, session: number, message: Message): void;
}

/** Of the two ways between a pair of hosts: what is short must not wait behind bulk. Messages of one lane stay in order. */
export type Lane = 'control' | 'data';

/** How messages become bytes. */
export interface MessageCodec<Message> {
  /**
   * The parts of one frame's body, in order. Large buffers of the message are not copied: they are the message's owner's,
   * and must not change before the frame is with the kernel.
   */
  encode(message: Message): Buffer[];
  /** The message that `body` is, whole. Buffers in it are parts of `body`. Throws WireError. */
  decode(body: Buffer): Message;
  laneOf(message: Message): Lane;
}

/** Bytes from another host that are no message: whatever link they came by is closed. */
export class WireError extends Error {
  readonly code = 'BAD_MESSAGE';

  constructor(message: string) {
    super(message);
    this.name = 'WireError';
  }
}
