import type { ClusterMap } from '../cluster/cluster-map.js';
import type { HostsWatch } from '../cluster/hosts-watch.js';
import type { Coordination } from '../coordination/coordination.js';
import type { ClusterShutdown } from './cluster-shutdown.js';
import type { HostNetwork } from './host-network.js';
import type { TokensOptions } from './tokens.js';

/** What makes a host one of its cluster. */
export interface Membership {
  /** What is agreed on. */
  readonly coordination: Coordination;
  /** Open. */
  readonly hosts: HostsWatch;
  /** Null: this host is alone. */
  readonly network: HostNetwork | null;
  readonly tokens: TokensOptions;
  /** Null: there are no other hosts to end with. */
  readonly shutdown: ClusterShutdown | null;
  /** This host takes part in the cluster from now on. */
  serve(cluster: { map(): ClusterMap; conducts(): boolean }): void;
  /** Whether a host runs a member of what all agree by: it cannot go before another one does. Rejects as the store does. */
  keepsStore(host: string): Promise<boolean>;
  close(): Promise<void>;
}
