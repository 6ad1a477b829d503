/** What is done to one thing after the other, by its number; things do not wait for one another. */
export class Turns {
  readonly #last = new Map<number, Promise<unknown>>();

  /** Runs `work` when all that was begun before has ended, however it did. */
  run<Result>(id: number, work: () => Promise<Result>): Promise<Result> {
    const result = (this.#last.get(id) ?? Promise.resolve()).then(work);
    const turn = result
      .catch(() => undefined)
      .then(() => {
        if (this.#last.get(id) === turn) this.#last.delete(id);
      });
    this.#last.set(id, turn);
    return result;
  }

  /** Resolves when what has been begun so far has ended. */
  async ended(id: number): Promise<void> {
    await this.#last.get(id);
  }
}
