import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Teardowns } from './scope.js';

/** Both ends of a connection. */
export async function socketPair(t: Teardowns): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = await accepted;
  if (near.connecting) await once(near, 'connect');
  server.close();
  for (const socket of [near, far]) t.teardown(() => socket.destroy());
  return [near, far];
}
