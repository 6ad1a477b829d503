import type { Coordination, Watch } from '../coordination/coordination.js';
import { HOSTS_PREFIX, type HostRecord } from './host-record.js';
import { decodeHostRecord } from './host-records.js';

interface Known {
  /** Null where the host was removed. */
  readonly record: HostRecord | null;
  readonly revision: number;
}

/** What the cluster knows of its hosts, kept in memory by a watch: who is let in, and where everybody is. */
export class HostsWatch {
  readonly #coordination: Coordination;
  readonly #known = new Map<string, Known>();
  readonly #listeners = new Set<() => void>();
  #watch: Watch | null = null;

  constructor(coordination: Coordination) {
    this.#coordination = coordination;
  }

  /** Resolves when all that is stored is known. Rejects as the store does; to be called again then. */
  async open(): Promise<void> {
    this.#watch ??= this.#coordination.watch(HOSTS_PREFIX, (events) => {
      for (const { type, keyValue } of events) {
        const id = keyValue.key.slice(HOSTS_PREFIX.length);
        this.#note(id, type === 'put' ? decodeHostRecord(keyValue.value) : null, keyValue.modRevision);
      }
      this.#tell();
    });
    for (const { key, value, modRevision } of await this.#coordination.range(HOSTS_PREFIX)) {
      this.#note(key.slice(HOSTS_PREFIX.length), decodeHostRecord(value), modRevision);
    }
    this.#tell();
  }

  close(): void {
    this.#watch?.close();
    this.#listeners.clear();
  }

  /** Those that are not banned, in the order of their ids. */
  get records(): HostRecord[] {
    const records = [...this.#known.values()].flatMap(({ record }) => record ?? []);
    return records.filter(({ banned }) => !banned).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Undefined where there is no such host, or it was given up for ever. */
  get(id: string): HostRecord | undefined {
    const record = this.#known.get(id)?.record ?? undefined;
    return record?.banned ? undefined : record;
  }

  /** Calls `listener` whenever a host came, went or changed. Answers what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What was read and what was watched may be told in either order. */
  #note(id: string, record: HostRecord | null, revision: number): void {
    if ((this.#known.get(id)?.revision ?? 0) < revision) this.#known.set(id, { record, revision });
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
