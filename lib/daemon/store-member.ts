import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EtcdAdministration } from '../coordination/etcd-administration.js';
import { DATA_NAME } from '../coordination/etcd-arguments.js';
import { EtcdOwnMember } from '../coordination/etcd-own-member.js';
import { socketUrlIn } from '../coordination/etcd-process.js';
import type { EtcdHost } from '../coordination/etcd-wanted.js';
import { formatHostPort, type HostPort } from '../net/address.js';
import { CREDENTIAL_FILES } from '../net/credentials.js';
import type { StateDirectory } from './state.js';
import { clientUrl, peerUrl } from './store-access.js';

/** Below the state directory: the host's certificate and its authority's; what a member of the store has. */
export const TLS_DIRECTORY = 'tls';
export const ETCD_DIRECTORY = 'etcd';

/** Where this host's member of the store is, whether or not there is one. */
export function etcdDirectory(state: StateDirectory): string {
  return join(state.path, ETCD_DIRECTORY);
}

/** Where this host asks its own member; null where it has none. */
export function ownSocketUrl(state: StateDirectory): string | null {
  const directory = etcdDirectory(state);
  return existsSync(join(directory, DATA_NAME)) ? socketUrlIn(directory) : null;
}

export interface StoreMemberOptions {
  readonly state: StateDirectory;
  readonly listen: HostPort;
  readonly administration: Pick<EtcdAdministration, 'remove'>;
  /** Hears, in a line, what has happened to it. */
  say(message: string): void;
}

/** The member of the store that this host runs when it is to. */
export function storeMember({ state, listen, administration, say }: StoreMemberOptions): EtcdOwnMember {
  const listenAt = formatHostPort(listen);
  const file = (name: keyof typeof CREDENTIAL_FILES) => join(state.path, TLS_DIRECTORY, CREDENTIAL_FILES[name]);
  return new EtcdOwnMember({
    ...{ directory: etcdDirectory(state), administration, say },
    member: {
      ...{ listenPeerUrl: peerUrl(listenAt), listenClientUrl: clientUrl(listenAt), token: state.identity.cluster },
      tls: { caFile: file('authorityCertificate'), certFile: file('certificate'), keyFile: file('privateKey') },
    },
  });
}

/** A host as one that may run a member, at the address where it is reached for links (`HOST:PORT`). */
export function etcdHost({ id, zone }: { id: string; zone: string }, address: string, isUp: boolean): EtcdHost {
  return { id, zone, isUp, peerUrl: peerUrl(address), clientUrl: clientUrl(address) };
}
