import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'brittle';
import { play } from './simulation/scenario/play.js';
import { parseScript, printScript } from './simulation/scenario/script.js';

/** In the source: the build has no texts. */
const DIRECTORY = fileURLToPath(new URL('../../test/scenarios/', import.meta.url));
/** `REWRITE=1` puts the traces that there are in place of those that are expected. */
const REWRITE = process.env.REWRITE === '1';
const ONLY = process.env.ONLY ?? '';

for (const file of readdirSync(DIRECTORY).filter((name) => name.includes(ONLY))) {
  test(`scenario: ${file.replace(/\.txt$/, '').replaceAll('-', ' ')}`, { timeout: 60_000 }, async (t) => {
    const path = `${DIRECTORY}${file}`;
    const text = readFileSync(path, 'utf8');
    const blocks = parseScript(text);
    t.is(blocks.at(-1)?.commands.at(-1), 'check', 'it ends with a check');
    const played = await play(blocks);
    if (REWRITE) writeFileSync(path, printScript(played));
    for (const [at, { commands, expected }] of played.entries()) {
      if (!REWRITE) t.is(expected.join('\n'), blocks[at]!.expected.join('\n'), commands.join('; '));
    }
    const defect = played.flatMap(({ expected }) => expected).find((line) => line.includes('DEFECT'));
    t.is(defect, undefined);
  });
}
