import type { IMember } from 'etcd3';
import type { EtcdOptions } from './etcd.js';
import { EtcdEndpoint } from './etcd-endpoint.js';
import { EtcdEndpoints } from './etcd-endpoints.js';
import { toCoordinationError, unavailable } from './etcd-errors.js';
import {
  ALARM,
  DEFRAGMENT,
  MEMBER_ADD,
  MEMBER_LIST,
  MEMBER_PROMOTE,
  MEMBER_REMOVE,
  MEMBER_UPDATE,
  type Method,
  STATUS,
} from './etcd-methods.js';
import { EtcdRequests } from './etcd-requests.js';

const TIMEOUT_MS = 5000;
/** A database of gigabytes is written anew. */
const DEFRAGMENT_MS_MAX = 120_000;

export interface EtcdMember {
  /** A number of 64 bits, in decimal notation. */
  id: string;
  /** Empty until it has been started for the first time. */
  name: string;
  peerUrls: string[];
  /** Empty until it has been started for the first time. */
  clientUrls: string[];
  isLearner: boolean;
}

export interface EtcdStatus {
  id: string;
  /** Of whom it takes for the leader; `0` when it knows of none. */
  leader: string;
  /** Changes that it has carried out; what it lags behind the leader. */
  appliedIndex: number;
  databaseBytes: number;
  /** Of those, what is not free. */
  usedBytes: number;
  isLearner: boolean;
}

/** What the members of etcd are told besides requests to the store. */
export interface EtcdAdministration {
  /** As the majority knows them. */
  members(): Promise<EtcdMember[]>;
  /** Answers its id. */
  addLearner(peerUrl: string): Promise<string>;
  /** Rejects with CoordinationError UNAVAILABLE also while the learner has not caught up. */
  promote(id: string): Promise<void>;
  remove(id: string): Promise<void>;
  updatePeerUrl(id: string, peerUrl: string): Promise<void>;
  /** Of the one member at that address. */
  status(clientUrl: string): Promise<EtcdStatus>;
  /** Gives unused space of the one member's database back; that member answers nobody meanwhile. */
  defragment(clientUrl: string): Promise<void>;
  /** Whether some member has refused changes for want of space, and all do since. */
  isOutOfSpace(): Promise<boolean>;
  /** Lets members take changes again. */
  endOutOfSpace(): Promise<void>;
  setEndpoints(endpoints: readonly string[]): void;
  close(): Promise<void>;
}

/**
 * Every call rejects with CoordinationError UNAVAILABLE when it has no answer in time, or etcd refuses: what it should
 * have done may have been done.
 *
 * Throws TypeError for an address that is none.
 */
export function openEtcdAdministration(options: Omit<EtcdOptions, 'namespace'>): EtcdAdministration {
  return new Administration(options);
}

class Administration implements EtcdAdministration {
  readonly #options: Omit<EtcdOptions, 'namespace'>;
  readonly #endpoints: EtcdEndpoints;
  readonly #requests: EtcdRequests;

  constructor(options: Omit<EtcdOptions, 'namespace'>) {
    this.#options = options;
    this.#endpoints = new EtcdEndpoints(options.endpoints, options.tls);
    this.#requests = new EtcdRequests(this.#endpoints, options.timeoutMs ?? TIMEOUT_MS);
  }

  async members(): Promise<EtcdMember[]> {
    const list = await this.#requests.agreed(MEMBER_LIST, {});
    return list.members.map(memberOf);
  }

  async addLearner(peerUrl: string): Promise<string> {
    const { member } = await this.#requests.once(MEMBER_ADD, { peerURLs: [peerUrl], isLearner: true });
    return member.ID;
  }

  async promote(id: string): Promise<void> {
    await this.#requests.once(MEMBER_PROMOTE, { ID: id });
  }

  async remove(id: string): Promise<void> {
    await this.#requests.once(MEMBER_REMOVE, { ID: id });
  }

  async updatePeerUrl(id: string, peerUrl: string): Promise<void> {
    await this.#requests.once(MEMBER_UPDATE, { ID: id, peerURLs: [peerUrl] });
  }

  async status(clientUrl: string): Promise<EtcdStatus> {
    const status = await this.#askOne(clientUrl, STATUS, this.#options.timeoutMs ?? TIMEOUT_MS);
    return {
      id: status.header.member_id,
      leader: status.leader,
      appliedIndex: Number(status.raftAppliedIndex),
      databaseBytes: Number(status.dbSize),
      usedBytes: Number(status.dbSizeInUse),
      isLearner: status.isLearner,
    };
  }

  async defragment(clientUrl: string): Promise<void> {
    await this.#askOne(clientUrl, DEFRAGMENT, DEFRAGMENT_MS_MAX);
  }

  async isOutOfSpace(): Promise<boolean> {
    const { alarms } = await this.#requests.once(ALARM, { action: 'Get', alarm: 'Nospace' });
    return alarms.length > 0;
  }

  async endOutOfSpace(): Promise<void> {
    const { alarms } = await this.#requests.once(ALARM, { action: 'Get', alarm: 'Nospace' });
    for (const { memberID } of alarms) {
      await this.#requests.once(ALARM, { action: 'Deactivate', memberID, alarm: 'Nospace' });
    }
  }

  setEndpoints(endpoints: readonly string[]): void {
    this.#endpoints.set(endpoints);
  }

  async close(): Promise<void> {
    this.#requests.close();
    await this.#endpoints.close();
  }

  async #askOne<Response>(
    clientUrl: string,
    method: Method<Record<string, never>, Response>,
    timeoutMs: number,
  ): Promise<Response> {
    const endpoint = new EtcdEndpoint(clientUrl, this.#options.tls);
    const connection = endpoint.connection('requests');
    try {
      const deadline = Date.now() + timeoutMs;
      if (!(await connection.ready(deadline))) throw unavailable(`${clientUrl} cannot be connected`);
      return await connection.unary(method, method.serialize({}), deadline, AbortSignal.timeout(timeoutMs));
    } catch (error) {
      throw toCoordinationError(error);
    } finally {
      endpoint.close();
    }
  }
}

function memberOf({ ID, name, peerURLs, clientURLs, isLearner }: IMember & { isLearner?: boolean }): EtcdMember {
  return { id: ID, name, peerUrls: peerURLs, clientUrls: clientURLs, isLearner: isLearner ?? false };
}
