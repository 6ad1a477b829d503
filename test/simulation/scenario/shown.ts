/** A line of a trace: when, where, what. */
const LINE = /^ *[\d.]+ {2}(\S+) +(.*)/;
const MESSAGE = /^(sends to|gets from|gets late from) (\S+) by (\d+): (?:\d+: )?(\w+)/;

/** What a scenario shows of its trace: what is of interest in nearly all of them, and what it asks for. */
export class Shown {
  /** Kinds of messages, or of other lines, that were asked for. */
  readonly #kinds = new Set<string>();

  show(kinds: readonly string[]): void {
    for (const kind of kinds) this.#kinds.add(kind);
  }

  hide(kinds: readonly string[]): void {
    for (const kind of kinds) this.#kinds.delete(kind);
  }

  /** The line without its time; null where it is not shown. */
  of(line: string): string | null {
    const [, where, what = ''] = LINE.exec(line) ?? [];
    // Further lines of a text, such as an error's.
    if (where === undefined) return null;
    // Numbers of requests are others with every change of what is asked.
    return this.#isShown(where, what) ? `${where}: ${what.replace(/( by \d+): \d+: /, '$1: ')}` : null;
  }

  #isShown(where: string, what: string): boolean {
    const [, how, , , kind] = MESSAGE.exec(what) ?? [];
    // Where it arrives, which is not where it is lost.
    if (how !== undefined) return this.#kinds.has(kind!) && (how !== 'sends to' || this.#kinds.has('sent'));
    if (where === 'store') return this.#kinds.has('store');
    if (where === 'fault' || where === 'world') return what.startsWith('DEFECT');
    if (/^session /.test(what)) return this.#kinds.has('sessions');
    if (/^adopts /.test(what)) return this.#kinds.has('adopting');
    if (/^(as conductor|conducting|the heartbeat)/.test(what)) return this.#kinds.has('conducting');
    return true;
  }
}
