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
