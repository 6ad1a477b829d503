import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'brittle';
import ts from 'typescript';
import { edited, MutantError } from './simulation/mutants/mutant.js';
import { MUTANTS } from './simulation/mutants.js';
import { defectOf } from './simulation/scenario/play.js';
import { parseScript } from './simulation/scenario/script.js';
import { ScriptError } from './simulation/scenario/script-error.js';

const read = (file: string) => readFileSync(fileURLToPath(new URL(`../${file}`, import.meta.url)), 'utf8');

test('every mutant fits the present build, and is a program', (t) => {
  for (const { name, edits } of MUTANTS) {
    const texts = new Map<string, string>();
    try {
      for (const edit of edits) {
        const before = texts.get(edit.file) ?? read(edit.file);
        const after = edited(before, edit);
        if (after === before) throw new MutantError(`${edit.file} is not changed`);
        texts.set(edit.file, after);
      }
    } catch (error) {
      if (!(error instanceof MutantError)) throw error;
      t.fail(`${name}: ${error.message}`);
      continue;
    }
    const wrong = [...texts].flatMap(([fileName, text]) => {
      return ts.transpileModule(text, { fileName, reportDiagnostics: true }).diagnostics ?? [];
    });
    t.is(wrong.map(({ messageText }) => messageText).join('; '), '', name);
  }
});

test('no two mutants have the same name', (t) => {
  const names = MUTANTS.map(({ name }) => name);
  t.alike([...new Set(names)], names);
});

test('an edit is refused where its text is missing, or there more than once', (t) => {
  const edit = { file: 'a.js', find: 'one', replace: 'two' };
  t.is(edited('just one of them', edit), 'just two of them');
  for (const text of ['nothing', 'one and one']) {
    try {
      edited(text, edit);
      t.fail(`edited ${text}`);
    } catch (error) {
      t.ok(error instanceof MutantError, `${error}`);
    }
  }
});

test('a scenario whose trace is another catches nothing; one in which a check fails does', async (t) => {
  const script = (last: string) =>
    parseScript(`cluster hosts 2\nimage disk copies 3 indexes 1\nalice opens disk on host1\n${last}\n----\nnothing`);
  t.is(await defectOf(script('alice writes 0+0 512\nwait until answered')), null);
  t.unlike(await defectOf(script('kill host2\ncheck')), null, 'a check needs all hosts');
  try {
    await defectOf(script('start host1'));
    t.fail('a command is carried out that means nothing');
  } catch (error) {
    t.ok(error instanceof ScriptError, `${error}`);
  }
});
