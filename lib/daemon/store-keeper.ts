import type { Clock } from '../cluster/clock.js';
import type { ClusterMap } from '../cluster/cluster-map.js';
import type { HostsWatch } from '../cluster/hosts-watch.js';
import type { Coordination } from '../coordination/coordination.js';
import type { EtcdAdministration } from '../coordination/etcd-administration.js';
import { QUOTA_BYTES } from '../coordination/etcd-arguments.js';
import { decodeEtcdRecord, ETCD_KEY, EtcdMembers } from '../coordination/etcd-members.js';
import type { EtcdOwnMember } from '../coordination/etcd-own-member.js';
import { EtcdUpkeep } from '../coordination/etcd-upkeep.js';
import type { EtcdHost } from '../coordination/etcd-wanted.js';
import type { Logger } from './log.js';
import type { StoreAccess } from './store-access.js';
import { etcdHost } from './store-member.js';

/** Between two looks at who keeps the store, and who should. */
const LOOK_MS = 2000;

export interface StoreKeeperOptions {
  readonly host: string;
  readonly zone: string;
  readonly hosts: HostsWatch;
  readonly coordination: Coordination;
  readonly administration: EtcdAdministration;
  readonly own: EtcdOwnMember;
  readonly access: StoreAccess;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where this host is reached for links now. */
  address(): string;
  map(): ClusterMap;
  /** Whether this host makes the maps: then it also decides who keeps the store. */
  conducts(): boolean;
}

/**
 * Sees to it that the store has the members that it should have, that this host's runs where it is to, and that this host
 * knows where all of them are.
 */
export class StoreKeeper {
  readonly #options: StoreKeeperOptions;
  readonly #members: EtcdMembers;
  readonly #upkeep: EtcdUpkeep;
  #cancel = () => {};
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: StoreKeeperOptions) {
    const { coordination, administration, host, log } = options;
    this.#options = options;
    const say = (line: string) => log.info(line);
    this.#members = new EtcdMembers({ coordination, administration, hosts: () => this.#candidates(), say });
    this.#upkeep = new EtcdUpkeep({ administration, name: host, quotaBytes: QUOTA_BYTES, say });
    this.#look();
  }

  /** Nothing is under way when it resolves. The member goes on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await Promise.all([this.#looking, this.#upkeep.close()]);
  }

  #look(): void {
    const { clock, log } = this.#options;
    this.#looking = this.#step()
      // It is looked at again, and what the store does not answer now it may then.
      .catch((error) => log.debug(`who keeps the store: ${error}`))
      .then(() => {
        if (!this.#closed) this.#cancel = clock.after(LOOK_MS, () => this.#look());
      });
  }

  async #step(): Promise<void> {
    const { coordination, administration, own, access, hosts, host, zone, address, conducts } = this.#options;
    if (conducts()) await this.#members.step();
    const found = await coordination.get(ETCD_KEY);
    if (!found) return;
    const wanted = decodeEtcdRecord(found.value).members;
    access.setMembers(
      wanted.map(({ host: id }) => ({
        host: id,
        addresses: id === host ? [address()] : (hosts.get(id)?.addresses ?? []),
      })),
    );
    await own.follow(etcdHost({ id: host, zone }, address(), true), await administration.members());
  }

  /** All that belong to the cluster, and are not to leave it. */
  #candidates(): EtcdHost[] {
    const { hosts, map } = this.#options;
    return hosts.records.flatMap((record) => {
      const [address] = record.addresses;
      if (record.standing === 'out' || address === undefined) return [];
      return [etcdHost(record, address, map().hosts[record.id]?.up === true)];
    });
  }
}
