import type { Report } from './observation.js';

/** A report more is dropped: members repeat theirs. A table of 1,024 groups recovers whole within it, several times. */
const REPORTS_MAX = 16384;
/** Members repeat what still holds; what was not said again for so many no longer does. */
const TTLS_VALID = 2;

/** The reports of members that the conductor has not dealt with. The same one counts once. */
export class ReportBox {
  readonly #validMs: number;
  readonly #reports = new Map<string, { report: Report; atMs: number }>();

  constructor(ttlMs: number) {
    this.#validMs = ttlMs * TTLS_VALID;
  }

  add(nowMs: number, report: Report): void {
    const key = keyOf(report);
    if (this.#reports.size >= REPORTS_MAX && !this.#reports.has(key)) return;
    this.#reports.set(key, { report, atMs: nowMs });
  }

  at(nowMs: number): Report[] {
    for (const [key, { atMs }] of this.#reports) if (nowMs - atMs > this.#validMs) this.#reports.delete(key);
    return [...this.#reports.values()].map(({ report }) => report);
  }

  /** A map was stored for which these were heard: what they changed is in it, and what did not count never will. */
  settle(heard: readonly Report[]): void {
    for (const report of heard) {
      const key = keyOf(report);
      if (report.type !== 'in-sync' && report.type !== 'disk-failed') continue;
      if (this.#reports.get(key)?.report === report) this.#reports.delete(key);
    }
  }

  clear(): void {
    this.#reports.clear();
  }
}

function keyOf(report: Report): string {
  switch (report.type) {
    case 'in-sync':
      return `in-sync ${report.copies} ${report.pg} ${report.disk}`;
    case 'disk-failed':
      return `disk-failed ${report.disk}`;
    case 'reaches':
      return `reaches ${report.host}`;
  }
}
