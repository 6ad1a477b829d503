/** Values of 1 MiB, several in a transaction, and what names them; etcd warns of more than this. */
const REQUEST_BYTES_MAX = 10 * 1024 * 1024;
/** Comparisons or operations; the rules of the store allow fewer. */
const TRANSACTION_OPERATIONS_MAX = 256;
/** History that is kept, in etcd's notation. Whoever was away for longer reads all anew. */
const HISTORY = '5m';
/** Of etcd's database; the most that its authors recommend. What is in use is a few megabytes. */
export const QUOTA_BYTES = 8 * 1024 ** 3;
/** A host has to renew its heartbeat within seconds, so that a new leader must be there within two. */
const HEARTBEAT_MS = 100;
const ELECTION_MS = 1000;
/** Changes kept in memory for members that lag; larger ones come with values of up to 1 MiB each. */
const SNAPSHOT_CHANGES = 10_000;
const OLD_FILES = 2;
/** Clients ask as often as this whether a connection is alive. */
const KEEPALIVE_MIN = '1s';

/** Within the member's directory, where etcd runs: that it listens at has to look like an address with a port. */
export const SOCKET_NAME = 'client.sock:1';
export const DATA_NAME = 'data';
/** Has the id of the member for which the data was begun, where that was added to others. */
export const JOINED_NAME = 'joined';

export interface EtcdMemberOptions {
  /** Unique in the cluster: the host's id. */
  name: string;
  /** `https://host:port`: where the other members reach this one. */
  peerUrl: string;
  /** `https://host:port`: where hosts without a member reach it. */
  clientUrl: string;
  /** Where it listens, `https://ip:port`; the URLs above unless set. */
  listenPeerUrl?: string;
  listenClientUrl?: string;
  /**
   * The members as they were when this one was added, itself included, by name; itself alone for the first of a new
   * cluster. Only what starts without data looks at it.
   */
  initialCluster: Readonly<Record<string, string>>;
  /** Whether it starts a cluster or was added to one. */
  initialState: 'new' | 'existing';
  /** Unique to the cluster, so that members of two never take each other for their own. */
  token: string;
  /** PEM files. The certificate has to name the addresses of both URLs, and to be one for servers and for clients. */
  tls: { caFile: string; certFile: string; keyFile: string };
}

/** etcd's command line, for one that runs in the member's directory. */
export function etcdArguments(options: EtcdMemberOptions): string[] {
  const { name, peerUrl, clientUrl, initialCluster, initialState, token, tls } = options;
  const members = Object.entries(initialCluster).map(([member, url]) => `${member}=${url}`);
  const flags: Record<string, string | number | boolean> = {
    name,
    'data-dir': DATA_NAME,
    'listen-peer-urls': options.listenPeerUrl ?? peerUrl,
    'listen-client-urls': `${options.listenClientUrl ?? clientUrl},unix://${SOCKET_NAME}`,
    'initial-advertise-peer-urls': peerUrl,
    'advertise-client-urls': clientUrl,
    'initial-cluster': members.join(','),
    'initial-cluster-state': initialState,
    'initial-cluster-token': token,
    'trusted-ca-file': tls.caFile,
    'cert-file': tls.certFile,
    'key-file': tls.keyFile,
    'client-cert-auth': true,
    'peer-trusted-ca-file': tls.caFile,
    'peer-cert-file': tls.certFile,
    'peer-key-file': tls.keyFile,
    'peer-client-cert-auth': true,
    // A host may have more addresses than it is known by, and calls others from any of them.
    'experimental-peer-skip-client-san-verification': true,
    'max-request-bytes': REQUEST_BYTES_MAX,
    'max-txn-ops': TRANSACTION_OPERATIONS_MAX,
    'auto-compaction-mode': 'periodic',
    'auto-compaction-retention': HISTORY,
    'quota-backend-bytes': QUOTA_BYTES,
    'heartbeat-interval': HEARTBEAT_MS,
    'election-timeout': ELECTION_MS,
    'pre-vote': true,
    'snapshot-count': SNAPSHOT_CHANGES,
    'max-snapshots': OLD_FILES,
    'max-wals': OLD_FILES,
    'grpc-keepalive-min-time': KEEPALIVE_MIN,
    'enable-grpc-gateway': false,
    logger: 'zap',
    'log-level': 'warn',
    'log-outputs': 'stderr',
  };
  return Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
}
