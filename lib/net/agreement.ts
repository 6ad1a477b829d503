/**
 * Which session two hosts have. The host with the lower id decides, on whichever channel there is: of two that dial one
 * another at the same time, one is taken. Its `OPEN` is the new session's number; before it is sent, the older session is
 * closed here, and before it is answered by `OPENED`, there. By then neither end can deliver anything that came by an
 * older one, as that has gone with its connections; so with `OPENED` the session is open.
 *
 * The number is one above all that either end knows. Each knows those of its process's life, and one that is known to
 * nobody any more leaves nothing behind that could be taken for the new one's. On top of that a process knows a number from
 * its start that follows from the host's incarnation, which is stored and grows with each start, so that numbers grow
 * for whoever reads logs, too. No clock has a part in it.
 */
import type { Hello } from './hello.js';

/** More than a host has sessions with another in one life of its process. */
const SESSIONS_PER_INCARNATION = 2 ** 20;

/** Numbers of sessions of such a process are above. */
export function sessionsBefore(incarnation: number): number {
  return incarnation * SESSIONS_PER_INCARNATION;
}

export function decides(own: string, other: string): boolean {
  return own < other;
}

export function nextSession(highest: number, hello: Hello): number {
  return Math.max(highest, hello.highest) + 1;
}

export interface Rival {
  readonly hello: Hello;
  /** Not TCP, but a stream that was offered. */
  readonly isOffered: boolean;
}

/** Whether the channel of a session, open or being opened, is to be given up for this one. */
export function gives(session: { readonly number: number; readonly channel: Rival }, candidate: Rival): boolean {
  const { number, channel } = session;
  const isRestarted = !candidate.hello.process.equals(channel.hello.process);
  // It knew the session when it said hello, and had it no more.
  const isLost = candidate.hello.highest >= number && candidate.hello.open !== number;
  if (candidate.isOffered) return channel.isOffered && (isRestarted || isLost);
  return channel.isOffered || isRestarted || isLost;
}
