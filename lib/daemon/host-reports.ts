import type { Clock } from '../cluster/clock.js';
import { RecordError } from '../cluster/record.js';
import type { Coordination, Watch } from '../coordination/coordination.js';
import { type HostReport, hostReportCodec, REPORTS_PREFIX, reportKey } from './host-report.js';

/** What a host tells of itself changes all the time while guests write: told no more often than this. */
const TELL_EVERY_MS = 3000;

export interface HostReportsOptions {
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly host: string;
  /** Whether there is nobody to tell. */
  readonly isAlone: boolean;
  own(): HostReport;
  /** How many handles of an image are open on this host. */
  opens(vdi: number): number;
  /** The store did not take a report; the next one is tried. */
  failed(error: unknown): void;
}

/** What all hosts tell of themselves; this one tells it from time to time. */
export class HostReports {
  readonly #options: HostReportsOptions;
  readonly #others = new Map<string, HostReport>();
  #watch: Watch | null = null;
  #cancel = () => {};
  #told = '';
  #closed = false;

  constructor(options: HostReportsOptions) {
    this.#options = options;
  }

  /** Rejects as the store does. */
  async open(): Promise<void> {
    const { coordination, isAlone } = this.#options;
    if (isAlone) return;
    this.#watch = coordination.watch(REPORTS_PREFIX, (events) => {
      for (const { type, keyValue } of events) this.#note(keyValue.key, type === 'put' ? keyValue.value : null);
    });
    for (const { key, value } of await coordination.range(REPORTS_PREFIX)) {
      if (!this.#others.has(key.slice(REPORTS_PREFIX.length))) this.#note(key, value);
    }
    this.#tell();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#watch?.close();
  }

  /** Of a host, as it last told. */
  of(host: string): HostReport | undefined {
    return host === this.#options.host ? this.#options.own() : this.#others.get(host);
  }

  /** How many handles of an image are open on a host, as it last told. */
  opens(host: string, vdi: number): number {
    return host === this.#options.host ? this.#options.opens(vdi) : (this.#others.get(host)?.opens[vdi] ?? 0);
  }

  /** Tells at once: something has changed that somebody may be waiting for. */
  async tellNow(): Promise<void> {
    const { coordination, host, own, isAlone, failed } = this.#options;
    const value = hostReportCodec.encode(own());
    const text = Buffer.from(value).toString();
    if (isAlone || text === this.#told) return;
    try {
      await coordination.transaction({ success: [{ put: reportKey(host), value }] });
      this.#told = text;
    } catch (error) {
      failed(error);
    }
  }

  #tell(): void {
    if (this.#closed) return;
    void this.tellNow().then(() => {
      this.#cancel = this.#closed ? () => {} : this.#options.clock.after(TELL_EVERY_MS, () => this.#tell());
    });
  }

  #note(key: string, value: Uint8Array | null): void {
    const host = key.slice(REPORTS_PREFIX.length);
    if (value === null) {
      this.#others.delete(host);
      return;
    }
    try {
      this.#others.set(host, hostReportCodec.decode(value));
    } catch (error) {
      // Of a newer release: what it tells is shown there.
      if (!(error instanceof RecordError)) throw error;
      this.#others.delete(host);
    }
  }
}
