import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Configuration } from '../control/configuration.js';
import { createKeyPair } from '../net/authority.js';
import { storeCredentials } from '../net/credentials.js';
import { openHostKey } from '../net/host-key.js';
import { joinCluster } from '../net/join-client.js';
import { JoinError } from '../net/join-error.js';
import type { Welcome } from '../net/join-messages.js';
import { RememberedHosts } from '../net/remembered-hosts.js';
import { joinKeyPair, parseToken } from '../net/token.js';
import { readSecret, storeSecret } from './cluster-secret.js';
import type { Logger } from './log.js';
import { SWARM_DIRECTORY } from './shared-membership.js';
import type { StateDirectory } from './state.js';
import { StateError } from './state-error.js';
import { StoreAccess } from './store-access.js';
import { TLS_DIRECTORY } from './store-member.js';

/** What a host that joins is told of the way to the store. */
export const StoreWays = z.strictObject({
  /** Hosts that run a member, and where they are reached for links. */
  members: z.array(z.strictObject({ host: z.string(), addresses: z.array(z.string()) })),
});

export type StoreWays = z.infer<typeof StoreWays>;

/**
 * Has a host join the cluster that the token is of, unless it has done so before. Waits for that as long as nobody answers.
 *
 * Throws StateError where it is one of another cluster, JoinError where it is not let in.
 */
export async function joinUnlessDone(
  state: StateDirectory,
  { join: text, name, zone }: Pick<Configuration, 'join' | 'name' | 'zone'>,
  log: Logger,
): Promise<void> {
  const { joining, host } = state.identity;
  if (text === null) {
    if (!joining) return;
    throw new StateError('NOT_JOINED', `${state.path} is of a host that has not joined its cluster; give --join TOKEN`);
  }
  const token = parseToken(text);
  const directory = state.directory(SWARM_DIRECTORY);
  if (!joining) {
    await checkSame(state, directory, token.clusterKey);
    return;
  }
  const keyPair = await openHostKey(directory);
  const tls = await createKeyPair();
  const publicKey = keyPair.publicKey.toString('hex');
  const request = { host, name, zone, publicKey, tlsPublicKey: pemOf(tls.publicKey) };
  const welcome = await joinCluster({ token, request, keyPair, log: { info: (line) => log.info(line) } });
  await remember(state, welcome, tls.privateKey, log);
}

/** A token that is still in the configuration of a host which has joined is no mistake; one of another cluster is. */
async function checkSame(state: StateDirectory, directory: string, clusterKey: Buffer): Promise<void> {
  const isSame = state.isShared && joinKeyPair(await readSecret(directory)).publicKey.equals(clusterKey);
  if (isSame) return;
  throw new StateError(
    'OTHER_CLUSTER',
    `${state.path} is of a host of another cluster; name an empty directory with --state, or leave --join out`,
  );
}

/** Stores all that makes this host one of the cluster; the mark that it is comes last. */
async function remember(state: StateDirectory, welcome: Welcome, privateKey: string, log: Logger): Promise<void> {
  const { host } = state.identity;
  const directory = state.directory(SWARM_DIRECTORY);
  const ways = StoreWays.safeParse(welcome.coordination);
  if (!ways.success) {
    throw new JoinError(
      'REFUSED',
      'the cluster says in another way how to reach what it has agreed on: use its release',
    );
  }
  const { authority, certificate } = welcome;
  const tls = join(state.path, TLS_DIRECTORY);
  if (!existsSync(tls)) storeCredentials(tls, { host, authority, certificate, privateKey });
  await storeSecret(directory, Buffer.from(welcome.secret, 'hex'));
  await RememberedHosts.begin(directory, welcome.hosts, (line) => log.warn(line));
  await StoreAccess.remember(state.path, ways.data.members);
  state.setShared(welcome.cluster);
}

function pemOf(publicKey: Buffer): string {
  const lines = publicKey.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN PUBLIC KEY-----\n${lines.join('\n')}\n-----END PUBLIC KEY-----\n`;
}
