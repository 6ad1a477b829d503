import { EXIT_FAILED } from './failure.js';

/** Ends quietly when who reads the output stops reading, as `dog vdi list | head -1` does. */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && stream === process.stdout) {
        process.stderr.write(`dog: cannot write to standard output (${error.code ?? error.message})\n`);
      }
      process.exit(EXIT_FAILED);
    });
  }
}

/** Writes lines to standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Writes one line to standard error. */
export function printError(line: string): void {
  process.stderr.write(`dog: ${line}\n`);
}
