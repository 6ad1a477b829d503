import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { ClusterMap } from '../cluster/cluster-map.js';
import { HostsWatch } from '../cluster/hosts-watch.js';
import { PatientCoordination } from '../cluster/patient-coordination.js';
import type { Coordination } from '../coordination/coordination.js';
import type { EtcdOwnMember } from '../coordination/etcd-own-member.js';
import { formatHostPort, parseHostPort } from '../net/address.js';
import { loadCredentials, renewCertificate } from '../net/credentials.js';
import { openHostKey } from '../net/host-key.js';
import { JoinServer } from '../net/join-server.js';
import { addressesToTell } from '../net/local-addresses.js';
import { createToken } from '../net/token.js';
import { ClusterNetwork } from './cluster-network.js';
import { readSecret } from './cluster-secret.js';
import { ClusterShutdown } from './cluster-shutdown.js';
import type { MembershipContext } from './lone-membership.js';
import type { Membership } from './membership.js';
import { StoreAccess } from './store-access.js';
import { StoreKeeper } from './store-keeper.js';
import { etcdHost, ownSocketUrl, storeMember, TLS_DIRECTORY } from './store-member.js';
import type { TokensOptions } from './tokens.js';
import { welcome } from './welcome.js';

/** Below the state directory: the host's identity in the swarm, the cluster's secret, and whom this host knows. */
export const SWARM_DIRECTORY = 'swarm';

interface Parts {
  readonly coordination: Coordination;
  readonly hosts: HostsWatch;
  readonly network: ClusterNetwork;
  readonly access: StoreAccess;
  readonly own: EtcdOwnMember;
  readonly context: MembershipContext;
  address(): string;
  readonly secret: Buffer;
  readonly joins: JoinServer;
  readonly shutdown: ClusterShutdown;
}

/** Of one of several hosts. */
export class SharedMembership implements Membership {
  readonly coordination: Coordination;
  readonly hosts: HostsWatch;
  readonly network: ClusterNetwork;
  readonly tokens: TokensOptions;
  readonly shutdown: ClusterShutdown;
  readonly #parts: Parts;
  #keeper: StoreKeeper | null = null;

  private constructor(parts: Parts) {
    const { coordination, hosts, network, secret } = parts;
    this.coordination = coordination;
    this.hosts = hosts;
    this.network = network;
    this.tokens = {
      make: ({ ttlMs, uses }) => {
        const { bootstrap } = network.discovery;
        return createToken(coordination, { secret, bootstrap, ttlMs, ...(uses !== null && { uses }) });
      },
      form: () => Promise.resolve(),
    };
    this.shutdown = parts.shutdown;
    this.#parts = parts;
  }

  /** Resolves when the store that the hosts share answers, however long that takes. Throws what it is made of throws. */
  static async open(context: MembershipContext): Promise<SharedMembership> {
    const { state, configuration, clock, log } = context;
    const { cluster, host } = state.identity;
    const listen = parseHostPort(configuration.listen);
    const ips = addressesToTell(listen.host, networkInterfaces());
    const tls = join(state.path, TLS_DIRECTORY);
    const credentials = await renewCertificate(tls, loadCredentials(tls, cluster, host), ips);
    const directory = state.directory(SWARM_DIRECTORY);
    const secret = await readSecret(directory);
    const keyPair = await openHostKey(directory);
    const access = await StoreAccess.open({
      ...{ directory: state.path, host, credentials, external: configuration.etcd, clock, log },
      ownSocket: () => ownSocketUrl(state),
    });
    const say = (line: string) => log.warn(line);
    const own = storeMember({
      state,
      listen,
      administration: { remove: (id) => access.administration.remove(id) },
      say,
    });
    const address = (): string => network.addresses[0] ?? formatHostPort(listen);
    const network = await ClusterNetwork.open({
      ...{ host, incarnation: state.host.incarnation + 1, credentials, secret, keyPair, directory, listen, log },
      bootstrap: configuration.bootstrap,
      found: (peer, addresses) => access.found(peer, addresses),
    });
    if (configuration.etcd.length === 0)
      await own.resume(etcdHost({ id: host, zone: configuration.zone }, address(), true));
    // Whoever waits for others may be told not to.
    context.link.onStop(() => void own.stop().finally(() => process.exit(0)));
    const coordination = await access.connect();
    const hosts = new HostsWatch(new PatientCoordination(coordination, clock));
    hosts.onChange(() => network.setHosts(hosts.records));
    await hosts.open();
    const ways = () => ({
      members: access.members.map(({ host, addresses }) => ({ host, addresses: [...addresses] })),
    });
    const welcomes = { cluster, secret, credentials, coordination, hosts, ways };
    const joins = new JoinServer({
      ...{ dht: network.discovery.dht, secret, coordination },
      welcome: (request) => welcome(welcomes, request),
      log: { info: (line) => log.info(line), warn: (line) => log.warn(line) },
    });
    const up = () => hosts.records.map(({ id }) => id).filter((id) => id === host || network.isConnected(id));
    const shutdown = new ClusterShutdown({ coordination, clock, host, up });
    return new SharedMembership({
      coordination,
      hosts,
      network,
      access,
      own,
      address,
      secret,
      joins,
      shutdown,
      context,
    });
  }

  /** This host takes part in the cluster now. */
  serve(cluster: { map(): ClusterMap; conducts(): boolean }): void {
    const { coordination, hosts, access, own, address, context } = this.#parts;
    const { state, configuration, clock, log } = context;
    if (configuration.etcd.length > 0) return;
    this.#keeper = new StoreKeeper({
      ...{ host: state.identity.host, zone: configuration.zone, administration: access.administration },
      ...{ coordination, hosts, access, own, address, clock, log },
      ...cluster,
    });
  }

  async keepsStore(host: string): Promise<boolean> {
    const { access, context } = this.#parts;
    if (context.configuration.etcd.length > 0) return false;
    return (await access.administration.members()).some(({ name }) => name === host);
  }

  async close(): Promise<void> {
    const { hosts, network, access, own, joins, shutdown } = this.#parts;
    await this.#keeper?.close();
    hosts.close();
    shutdown.close();
    // It would wait for nodes of the DHT that may be gone.
    await Promise.all([joins.close(), network.close()]);
    await access.close();
    await own.stop();
  }
}
