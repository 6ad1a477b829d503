import { createSocket } from 'node:dgram';

/** A name that takes longer to look up is as one that there is no way to. */
const TIMEOUT_MS = 1000; // 1 s

/** The address of this host that packets of IPv4 to `host` carry, or null where there is no way there. Sends none. */
export function sourceAddressTo(host: string, port: number): Promise<string | null> {
  const socket = createSocket('udp4');
  return new Promise((resolve) => {
    const done = (address: string | null) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      // What comes after this is of no interest.
      socket.on('error', () => {});
      socket.close();
      resolve(address);
    };
    const timer = setTimeout(() => done(null), TIMEOUT_MS);
    // No route is no error of this host's: another of the addresses may do.
    socket.on('error', () => done(null));
    socket.connect(port, host, () => done(socket.address().address));
  });
}
