/** `dog vdi export` and `dog vdi import`: images through standard output and input. */
import type { Extent, VdiInfo } from '../control/administration.js';
import type { ControlClient } from '../control/client.js';
import { EXIT_INTERRUPTED, Failure } from './failure.js';
import { untilInterrupted } from './interrupt.js';
import { estimate, type ProgressView, showProgress } from './progress.js';
import { openStandardInput } from './standard-input.js';
import { openStandardOutput, type Sink } from './standard-output.js';
import { printable } from './text.js';

export interface TransferOptions {
  quiet: boolean;
}

/** Writes an image to standard output. @throws Failure, AdministrationError, ClientError. */
export async function exportVdi(client: ControlClient, name: string, { quiet }: TransferOptions): Promise<void> {
  const sink = openStandardOutput();
  const interrupted = () => new Failure('interrupted; the output is no whole image', EXIT_INTERRUPTED);
  await untilInterrupted(interrupted, async (signal) => {
    const source = await client.vdiExport(name, signal);
    // Standard output is the image's.
    const view = showProgress({ title: `exporting ${printable(name)}`, quiet, lines: process.stderr });
    try {
      await copy(source.extents, sink, follow(view, source.used));
      await sink.end(source.size);
    } catch (error) {
      sink.undo();
      throw error;
    } finally {
      view.end();
    }
  });
}

/** Makes an image of standard input. @throws Failure, AdministrationError, ClientError. */
export async function importVdi(client: ControlClient, name: string, { quiet }: TransferOptions): Promise<VdiInfo> {
  const source = openStandardInput();
  const view = showProgress({ title: `importing ${printable(name)}`, quiet, lines: process.stdout });
  const interrupted = () => new Failure('interrupted; no image was made', EXIT_INTERRUPTED);
  try {
    return await untilInterrupted(interrupted, (signal) =>
      client.vdiImport(name, source.extents(follow(view, source.size)), source.size, signal),
    );
  } finally {
    view.end();
    // A pipe whose writer has nothing to say would keep the program from its end.
    process.stdin.destroy();
  }
}

async function copy(extents: AsyncIterable<Extent>, sink: Sink, onCopied: (bytes: number) => void): Promise<void> {
  let copied = 0;
  for await (const extent of extents) {
    await sink.write(extent);
    copied += extent.data.length;
    onCopied(copied);
  }
}

function follow(view: ProgressView, total: number | null): (done: number) => void {
  const startedMs = performance.now();
  return (done) => view.update({ done, total, unit: 'bytes', secondsLeft: estimate(startedMs, done, total) });
}
