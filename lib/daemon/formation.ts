import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { pause } from '../cluster/clock.js';
import { isUnavailable } from '../cluster/patient-coordination.js';
import { AdministrationError } from '../control/administration.js';
import { type EtcdCoordination, type EtcdOptions, openEtcd } from '../coordination/etcd.js';
import { EtcdError } from '../coordination/etcd-error.js';
import { socketUrlIn, wipeEtcd } from '../coordination/etcd-process.js';
import { moveToEtcd } from '../coordination/move-to-etcd.js';
import { formatHostPort, parseHostPort } from '../net/address.js';
import { createAuthority } from '../net/authority.js';
import { CredentialsError, createCredentials, loadCredentials, storeCredentials } from '../net/credentials.js';
import { addressesToTell } from '../net/local-addresses.js';
import { newSecret, storeSecret } from './cluster-secret.js';
import type { HeldCoordination } from './held-coordination.js';
import { LOCAL_STORE, type MembershipContext } from './lone-membership.js';
import { SWARM_DIRECTORY } from './shared-membership.js';
import type { StateDirectory } from './state.js';
import { StoreAccess } from './store-access.js';
import { etcdDirectory, etcdHost, storeMember, TLS_DIRECTORY } from './store-member.js';

/** Until a store that was just started answers. */
const START_MS_MAX = 30_000;
const RETRY_MS = 100;

/**
 * Makes a host alone the first of several: what it has agreed on with itself moves to a store that others can reach. Guests
 * wait meanwhile; then this worker is followed by one that goes by that store. Up to the moment at which it is stored that
 * this has happened, a crash leaves a host alone, which knows nothing of the attempt.
 *
 * Rejects with AdministrationError; then nothing has changed.
 */
export async function formCluster(local: HeldCoordination, context: MembershipContext): Promise<void> {
  const { state, configuration, log } = context;
  if (!context.mayRestart()) {
    throw new AdministrationError(
      'IN_USE',
      'images are open, and would not be any more: with this kernel, or libfuse, the daemon cannot start anew under guests',
      'stop the guests, and ask again',
    );
  }
  const { cluster, host } = state.identity;
  const listen = parseHostPort(configuration.listen);
  const [ip] = addressesToTell(listen.host, networkInterfaces());
  if (ip === undefined) {
    throw new AdministrationError(
      'INVALID',
      'this host has no address at which others could reach it',
      'give it one, or name one with --listen',
    );
  }
  const address = formatHostPort({ host: ip, port: listen.port });
  const say = (line: string) => log.warn(line);
  const own = storeMember({ state, listen, administration: { remove: () => Promise.resolve() }, say });
  const begins = etcdHost({ id: host, zone: configuration.zone }, address, true);
  try {
    // Of an attempt that was broken off.
    await wipeEtcd(etcdDirectory(state));
    await makeCredentials(join(state.path, TLS_DIRECTORY), cluster, host, [ip]);
    await storeSecret(state.directory(SWARM_DIRECTORY), newSecret());
    if (configuration.etcd.length === 0) await own.begin(begins);
    const store = await openStore(state, configuration.etcd, context);
    try {
      const release = local.hold();
      try {
        await StoreAccess.remember(state.path, [{ host, addresses: [address] }]);
        const { below } = local;
        await moveToEtcd({ local: below, localDirectory: state.directory(LOCAL_STORE), etcd: store });
        state.setShared(cluster);
      } catch (error) {
        release();
        throw error;
      }
    } finally {
      await store.close();
    }
    await own.release();
  } catch (error) {
    await own.stop();
    throw refusal(error);
  }
  log.info('other hosts can join this one from now on');
  context.restartSoon();
}

async function makeCredentials(directory: string, cluster: string, host: string, ips: string[]): Promise<void> {
  try {
    loadCredentials(directory, cluster, host);
  } catch (error) {
    if (!(error instanceof CredentialsError) || error.code !== 'MISSING') throw error;
    storeCredentials(directory, await createCredentials(await createAuthority(cluster), host, ips));
  }
}

/** Ours, just started, or the administrator's. */
async function openStore(
  state: StateDirectory,
  external: readonly string[],
  { clock }: MembershipContext,
): Promise<EtcdCoordination> {
  const options: EtcdOptions = { endpoints: external.length > 0 ? external : [socketUrlIn(etcdDirectory(state))] };
  for (const endMs = clock.elapsedMs() + START_MS_MAX; ; ) {
    try {
      return await openEtcd(options);
    } catch (error) {
      if (!isUnavailable(error) || clock.elapsedMs() > endMs) throw error;
      await pause(clock, RETRY_MS);
    }
  }
}

/** What went wrong, for the administrator. */
function refusal(error: unknown): unknown {
  if (error instanceof EtcdError) return new AdministrationError('INVALID', error.message);
  if (isUnavailable(error)) {
    return new AdministrationError('BUSY', `the store that hosts share does not start: ${(error as Error).message}`);
  }
  if (error instanceof CredentialsError) return new AdministrationError('INVALID', error.message);
  return error;
}
