/** Of one failed assertion, repeated at the end: what was found, what was expected, and where. */
const FAILURE_LINES_MAX = 12;

/** Counts what a test file reports on its standard output, in brittle's TAP. */
export class TapCounter {
  passed = 0;
  failed = 0;
  skipped = 0;
  /** Whether the file got to its end and summed up. */
  complete = false;
  /** The failed assertions with the lines that explain them, for the end of a long output. */
  readonly failures: string[][] = [];
  private explained: string[] | null = null;
  private rest = '';

  add(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.line(line);
  }

  private line(line: string): void {
    if (this.explained && /^ {6}/.test(line)) {
      if (this.explained.length < FAILURE_LINES_MAX) this.explained.push(line.slice(4));
      return;
    }
    this.explained = null;
    // Assertions are indented below their test, whose own line would count them twice. A skipped test has no assertion.
    if (/^\s+ok \d+/.test(line)) this.passed++;
    else if (/^\s+not ok \d+/.test(line)) {
      this.failed++;
      this.explained = [line.trim()];
      this.failures.push(this.explained);
      return;
    } else if (/^ok \d+ .* # (SKIP|TODO)$/.test(line)) this.skipped++;
    else if (/^# asserts = /.test(line)) this.complete = true;
  }
}
