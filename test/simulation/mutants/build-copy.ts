import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '../../helpers/cleanup.js';
import type { Teardowns } from '../../helpers/scope.js';
import { edited, type Mutant } from './mutant.js';

/** A copy of the build, in which one mutant at a time takes the place of what is shipped. */
export class BuildCopy {
  readonly directory: string;
  /** What the files were that are changed now. */
  readonly #originals = new Map<string, string>();
  /** What was found out of what is shipped. */
  readonly #found = new Map<string, unknown>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** @param project the directory that has dist/ and node_modules/ */
  static async make(project: string, teardowns: Teardowns): Promise<BuildCopy> {
    const root = await temporaryDirectory(teardowns);
    const copy = new BuildCopy(join(root, 'dist'));
    for (const name of ['lib', 'test']) {
      await cp(join(project, 'dist', name), join(copy.directory, name), { recursive: true });
    }
    await cp(join(project, 'test/scenarios'), join(root, 'test/scenarios'), { recursive: true });
    await cp(join(project, 'package.json'), join(root, 'package.json'));
    await symlink(join(project, 'node_modules'), join(root, 'node_modules'));
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

  /** Finds something out of what is shipped, once; to be called while the copy is that. */
  async once<T>(what: string, find: () => Promise<T>): Promise<T> {
    if (!this.#found.has(what)) this.#found.set(what, await find());
    return this.#found.get(what) as T;
  }
}
