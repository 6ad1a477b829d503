/**
 * Runs something long that stops on the signal it is given, which comes with the first SIGINT or SIGTERM; a second one
 * ends the program at once. Whatever it then throws, what is thrown is `reason()`.
 */
export async function untilInterrupted<T>(reason: () => Error, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const release = () => {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  };
  const stop = () => {
    release();
    controller.abort(reason());
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await run(controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    release();
  }
}
