import { isIPv4, isIPv6 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';

export type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

/** Told to others at most; what is more is left out. */
export const ADDRESSES_MAX = 16;

/**
 * The addresses by which others may reach what listens on `listenHost`, best first. One that it names is the only one;
 * where it names none (`0.0.0.0`, `::`), those of all interfaces but loopback, and of IPv6 only global ones (which
 * includes those of a private network): a link-local one means nothing to another host.
 */
export function addressesToTell(listenHost: string, interfaces: Interfaces): string[] {
  if (listenHost !== '0.0.0.0' && listenHost !== '::') return [listenHost];
  const all = Object.values(interfaces)
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !isLinkLocal(address))
    .map(({ address }) => address);
  const told = [...all.filter((address) => isIPv4(address)), ...(listenHost === '::' ? all.filter(isIPv6) : [])];
  return [...new Set(told)].slice(0, ADDRESSES_MAX);
}

function isLinkLocal(address: string): boolean {
  // Of IPv4 too: an interface that found no DHCP server gives itself one.
  return /^fe[89ab][0-9a-f]:/i.test(address) || address.startsWith('169.254.');
}
