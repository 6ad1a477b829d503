import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { edited, type Mutant } from './mutant.js';

/** A copy of the build, in which one mutant at a time takes the place of what is shipped. */
export class BuildCopy {
  readonly directory: string;
  readonly #root: string;
  /** What the files were that are changed now. */
  readonly #originals = new Map<string, string>();

  private constructor(root: string) {
    this.#root = root;
    this.directory = join(root, 'dist');
  }

  /** @param project the directory that has dist/ and node_modules/ */
  static async make(project: string): Promise<BuildCopy> {
    const copy = new BuildCopy(await mkdtemp(join(tmpdir(), 'mutants-')));
    for (const name of ['lib', 'test']) {
      await cp(join(project, 'dist', name), join(copy.directory, name), { recursive: true });
    }
    await cp(join(project, 'package.json'), join(copy.#root, 'package.json'));
    await symlink(join(project, 'node_modules'), join(copy.#root, 'node_modules'));
    return copy;
  }

  /** Puts the mutant in place of the one before. Throws MutantError where it does not fit the build. */
  async become(mutant: Mutant): Promise<void> {
    await this.restore();
    const texts = new Map<string, string>();
    for (const edit of mutant.edits) {
      const text = texts.get(edit.file) ?? (await readFile(join(this.directory, edit.file), 'utf8'));
      if (!texts.has(edit.file)) this.#originals.set(edit.file, text);
      texts.set(edit.file, edited(text, edit));
    }
    for (const [file, text] of texts) await writeFile(join(this.directory, file), text);
  }

  /** Makes it what is shipped. */
  async restore(): Promise<void> {
    for (const [file, text] of this.#originals) await writeFile(join(this.directory, file), text);
    this.#originals.clear();
  }

  async remove(): Promise<void> {
    await rm(this.#root, { recursive: true });
  }
}
