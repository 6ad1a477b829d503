/** Counts what a test file reports on its standard output, in brittle's TAP. */
export class TapCounter {
  passed = 0;
  failed = 0;
  skipped = 0;
  /** Whether the file got to its end and summed up. */
  complete = false;
  private rest = '';

  add(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.line(line);
  }

  private line(line: string): void {
    // Assertions are indented below their test, whose own line would count them twice. A skipped test has no assertion.
    if (/^\s+ok \d+/.test(line)) this.passed++;
    else if (/^\s+not ok \d+/.test(line)) this.failed++;
    else if (/^ok \d+ .* # (SKIP|TODO)$/.test(line)) this.skipped++;
    else if (/^# asserts = /.test(line)) this.complete = true;
  }
}
