import { AdministrationError, type WorkStatus } from '../control/administration.js';
import type { ControlClient } from '../control/client.js';
import { EXIT_INTERRUPTED, Failure } from './failure.js';
import { untilInterrupted } from './interrupt.js';
import { print, printJson } from './output.js';
import { showProgress } from './progress.js';
import { printable } from './text.js';

interface WatchOptions {
  /** The command that shows the same work again. */
  again: string;
  quiet: boolean;
}

/** Watches work as its command's options have it, and then prints `done`, or how it ended. @throws as watchWork. */
export async function finishWork(
  client: ControlClient,
  work: WorkStatus,
  options: { json?: boolean; quiet?: boolean },
  words: { again: string; done: string },
): Promise<void> {
  const quiet = options.quiet || options.json || false;
  const end = await watchWork(client, work, { again: words.again, quiet });
  if (options.json) printJson(end);
  else if (!options.quiet) print(words.done);
}

/**
 * Shows how far work of the daemon is until it ends, and answers how it did.
 *
 * @throws AdministrationError when it failed; Failure when the user stops watching, which does not stop the work.
 */
async function watchWork(client: ControlClient, work: WorkStatus, options: WatchOptions): Promise<WorkStatus> {
  const view = showProgress({ title: printable(work.title), quiet: options.quiet, lines: process.stdout });
  const interrupted = () =>
    new Failure(`${work.title} goes on in the daemon; watch it with '${options.again}'`, EXIT_INTERRUPTED);
  try {
    return await untilInterrupted(interrupted, async (signal) => {
      for await (const state of client.followWork(work.id, signal)) {
        if (state.error) throw new AdministrationError(state.error.code, state.error.message, state.error.hint);
        if (state.state === 'done') return state;
        view.update(state);
      }
      throw new AdministrationError('INTERNAL', 'the daemon did not say how the work ended');
    });
  } finally {
    view.end();
  }
}
