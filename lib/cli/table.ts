import Table from 'cli-table3';
import { printable } from './text.js';

export interface Column {
  title: string;
  align?: 'left' | 'right';
}

export interface TableContent {
  columns: readonly Column[];
  rows: readonly (readonly string[])[];
}

/** A table without lines, which `awk` can take apart too. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: columns.map(({ title }) => title),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: Object.fromEntries(BORDERS.map((name) => [name, name === 'middle' ? '  ' : ''])),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  table.push(...rows.map((row) => row.map(printable)));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/**
 * A table of `linesMax` lines at the most, 3 or more: where rows have to be left out, the last line says how many, and
 * then what `shows` the others.
 */
export function formatTableWithin(linesMax: number, { columns, rows }: TableContent, shows: string): string {
  if (1 + rows.length <= linesMax) return formatTable(columns, rows);
  const shown = linesMax - 2;
  return `${formatTable(columns, rows.slice(0, shown))}\nand ${rows.length - shown} more; ${shows}`;
}

/** Lines of `title: value`, the colons one below the other. */
export function formatFields(fields: readonly (readonly [title: string, value: string])[]): string {
  const width = Math.max(...fields.map(([title]) => title.length));
  return fields.map(([title, value]) => `${title.padStart(width)}: ${printable(value)}`).join('\n');
}

const BORDERS = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
  'left',
  'left-mid',
  'mid',
  'mid-mid',
  'right',
  'right-mid',
  'middle',
] as const;
