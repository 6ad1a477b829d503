import { createPublicKey } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { changeHost } from '../cluster/change-host.js';
import type { HostRecord } from '../cluster/host-record.js';
import type { HostsWatch } from '../cluster/hosts-watch.js';
import type { Coordination } from '../coordination/coordination.js';
import { parseHostPort } from '../net/address.js';
import { issue } from '../net/authority.js';
import type { HostCredentials } from '../net/credentials.js';
import { JoinError } from '../net/join-error.js';
import type { JoinRequest, Welcome } from '../net/join-messages.js';
import type { RememberedHost } from '../net/remembered-hosts.js';
import type { StoreWays } from './joining.js';

export interface WelcomeOptions {
  readonly cluster: string;
  readonly secret: Uint8Array;
  readonly credentials: HostCredentials;
  readonly coordination: Coordination;
  readonly hosts: HostsWatch;
  /** Who keeps the store, and where they are. */
  ways(): StoreWays;
}

/**
 * Lets a host into the cluster, and answers what it has to know. May be asked again for the same host. Rejects with
 * JoinError where it is not to be let in, or as the store does.
 */
export async function welcome(options: WelcomeOptions, request: JoinRequest): Promise<Welcome> {
  const { cluster, secret, credentials, coordination, hosts, ways } = options;
  const { authority } = credentials;
  const taken = hosts.records.find(({ id, name }) => id !== request.host && name === request.name);
  if (taken) throw refused(`a host of the cluster is called ${request.name} already; give another --name`);
  await changeHost(coordination, request.host, (before) => admitted(before, request));
  const publicKey = createPublicKey(request.tlsPublicKey).export({ format: 'der', type: 'spki' });
  return {
    ...{ cluster, secret: Buffer.from(secret).toString('hex') },
    // It makes itself another one that names its addresses.
    certificate: await issue(authority, { host: request.host, publicKey, addresses: [] }),
    authority: { certificate: authority.certificate, privateKey: authority.privateKey },
    hosts: hosts.records.filter(({ publicKey: key }) => key !== '').map(addressesOf),
    coordination: { ...ways() },
  };
}

function admitted(before: HostRecord | null, { host, name, zone, publicKey }: JoinRequest): HostRecord {
  if (before?.banned) throw refused('this host was given up for ever; empty its --state and --disk, and join anew');
  if (before && before.publicKey !== publicKey) throw refused('another host of the cluster has this id');
  const { standing = 'in', disks = [], addresses = [], bannedDisks = [] } = before ?? {};
  return { id: host, name, zone, publicKey, standing, disks, addresses, banned: false, bannedDisks };
}

function refused(message: string): JoinError {
  return new JoinError('REFUSED', message);
}

/** The node of the DHT listens at the port of the links. */
function addressesOf({ id, publicKey, addresses }: HostRecord): RememberedHost {
  return {
    id,
    publicKey,
    addresses: [...addresses],
    dht: addresses.map(parseHostPort).filter(({ host }) => isIPv4(host)),
  };
}
