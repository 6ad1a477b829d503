/** Commands, and the trace that is expected of them. */
export interface Block {
  /** What stands before it: comments and blank lines. */
  readonly preface: readonly string[];
  readonly commands: readonly string[];
  readonly expected: readonly string[];
}

const SEPARATOR = '----';

/** Takes a scenario's text apart. Throws where it is none. */
export function parseScript(text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.replace(/\n+$/, '').split('\n');
  for (let at = 0; at < lines.length; ) {
    const preface: string[] = [];
    while (at < lines.length && isPreface(lines[at]!)) preface.push(lines[at++]!);
    if (at === lines.length) throw new Error('the last lines are no commands');
    const commands: string[] = [];
    while (at < lines.length && lines[at] !== SEPARATOR) commands.push(lines[at++]!);
    if (at === lines.length) throw new Error(`no ${SEPARATOR} behind ${commands[0]}`);
    at++;
    const expected: string[] = [];
    while (at < lines.length && lines[at] !== '') expected.push(lines[at++]!);
    blocks.push({ preface, commands, expected });
  }
  return blocks;
}

function isPreface(line: string): boolean {
  return line === '' || line.startsWith('#');
}

export function printScript(blocks: readonly Block[]): string {
  const lines = blocks.flatMap(({ preface, commands, expected }) => [...preface, ...commands, SEPARATOR, ...expected]);
  return `${lines.join('\n')}\n`;
}
