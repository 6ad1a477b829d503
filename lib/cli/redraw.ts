import { clearScreenDown, cursorTo, moveCursor } from 'node:readline';

/** Where a terminal does not say what it is. */
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/** A few lines on the terminal that standard output is, each drawing over the one before. */
export class Redraw {
  private readonly terminal = process.stdout;
  private drawn = 0;

  /** Cuts what the terminal has no room for: a line that went on below, or one scrolled away, would stay there. */
  draw(text: string): void {
    const columns = this.terminal.columns || DEFAULT_COLUMNS;
    const rows = this.terminal.rows || DEFAULT_ROWS;
    const lines = text.split('\n').slice(0, rows - 1);
    moveCursor(this.terminal, 0, -this.drawn);
    cursorTo(this.terminal, 0);
    clearScreenDown(this.terminal);
    this.terminal.write(lines.map((line) => `${line.slice(0, columns - 1)}\n`).join(''));
    this.drawn = lines.length;
  }
}
