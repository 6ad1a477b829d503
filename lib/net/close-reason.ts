/** Why a connection, or the two that belong together, came to its end or was not taken up. */
export const CLOSE_REASONS = [
  /** The other end has no certificate, or none of the cluster's authority. */
  'authority',
  /** TLS did not come about for another reason; or the certificate names no host. */
  'tls',
  /** The host at the address is another one than was dialled. */
  'wrong-host',
  /** The host's admission has ended. */
  'not-admitted',
  /** The host is none of those that this one is to be connected with. */
  'not-a-peer',
  /** The other end speaks another version of links. */
  'version',
  /** What came is no frame. */
  'garbage',
  /** A frame is longer than any can be. */
  'oversized',
  /** The stream ended within a frame. */
  'truncated',
  /** A frame's body is no message. */
  'message',
  /** A frame came that was not due. */
  'protocol',
  /** The session's number is not higher than those before. */
  'stale',
  /** Nothing was heard from the other end for long. */
  'silent',
  /** The other end does not take what is sent to it. */
  'slow',
  /** It took too long until there was a session. */
  'timeout',
  /** The other end, or the network, has closed it. */
  'closed',
  /** Nothing answers at the address. */
  'unreachable',
  /** Too many are open that have no session. */
  'crowded',
  /** A newer one took its place. */
  'replaced',
  /** There is a session already. */
  'superfluous',
  /** The host is none to be connected with any more. */
  'removed',
  /** This end has ended. */
  'shutdown',
] as const;

export type CloseReason = (typeof CLOSE_REASONS)[number];

/** What has become of connections, for metrics. Counts only grow. */
export class LinkCounters {
  /** Sessions that were opened. */
  sessions = 0;
  readonly closed = Object.fromEntries(CLOSE_REASONS.map((reason) => [reason, 0])) as Record<CloseReason, number>;
}
