import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { EtcdConnection } from './etcd-connection.js';

/** Certificates and key as PEM. The member must show one of the same authority. */
export interface EtcdTls {
  ca: string | Buffer;
  cert: string | Buffer;
  key: string | Buffer;
}

/** `bulk` carries ranges and watches, so that small requests do not wait for them. */
export type Lane = 'requests' | 'bulk';

const UNIX = 'unix:';
/** Asked for in the TLS handshake, where an IP address is not allowed; etcd does not look at it. */
const SERVER_NAME = 'etcd';
const SERVER_NAME_OPTION = 'grpc.ssl_target_name_override';

/** One member of etcd, as this host reaches it. */
export class EtcdEndpoint {
  /** `https://host:port`, `http://host:port`, or `unix:/path/of/socket`. */
  readonly url: string;
  readonly #connections: Record<Lane, EtcdConnection>;
  /** When it last left a request without an answer; null when it has answered since. */
  suspectedAtMs: number | null = null;
  /** Why, in words. */
  trouble: string | null = null;

  /** Throws TypeError for a URL that is none of these. */
  constructor(url: string, tls: EtcdTls | undefined) {
    this.url = url;
    const { target, secure } = parse(url);
    const channel = secure ? secureCredentials(tls, new URL(url).hostname) : credentials.createInsecure();
    const connect = () => new EtcdConnection(target, channel, secure ? { [SERVER_NAME_OPTION]: SERVER_NAME } : {});
    this.#connections = { requests: connect(), bulk: connect() };
  }

  get isLocal(): boolean {
    return this.url.startsWith(UNIX);
  }

  connection(lane: Lane): EtcdConnection {
    return this.#connections[lane];
  }

  close(): void {
    this.#connections.requests.close();
    this.#connections.bulk.close();
  }
}

function parse(url: string): { target: string; secure: boolean } {
  if (url.startsWith(UNIX)) return { target: url, secure: false };
  const { protocol, host, port } = new URL(url);
  if (port === '' || (protocol !== 'https:' && protocol !== 'http:')) {
    throw new TypeError(`${url} is not the address of an etcd member, such as https://host:2379`);
  }
  return { target: host, secure: protocol === 'https:' };
}

function secureCredentials(tls: EtcdTls | undefined, hostname: string): ChannelCredentials {
  // What has to be in the certificate, whatever name was asked for.
  const address = hostname.replace(/^\[|\]$/g, '');
  const verify = {
    checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(address, certificate),
  };
  if (tls === undefined) return credentials.createSsl(null, null, null, verify);
  return credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert), verify);
}
