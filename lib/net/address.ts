import { isIPv4, isIPv6 } from 'node:net';
import { NetError } from './net-error.js';

/** Where something listens: an address of IPv4 or IPv6, or a name where a person gave it. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const PORT_MAX = 65_535;
/** Of a DNS name. */
const NAME_LENGTH_MAX = 253;

/** `HOST:PORT`, `[IPV6]:PORT`. Throws NetError BAD_ADDRESS. */
export function parseHostPort(text: string): HostPort {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  const isHost = bracketed === undefined ? isName(host ?? '') : isIPv6(bracketed);
  if (host !== undefined && isHost && port > 0 && port <= PORT_MAX) return { host, port };
  throw new NetError('BAD_ADDRESS', `${JSON.stringify(text)} is no address: give HOST:PORT, or [IPV6]:PORT`);
}

export function formatHostPort({ host, port }: HostPort): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

function isName(text: string): boolean {
  return isIPv4(text) || (text.length <= NAME_LENGTH_MAX && /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?$/i.test(text));
}
