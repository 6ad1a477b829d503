/** Where an exported image goes: a file gets holes where the image has them, anything else gets the zeros. */
import { fstatSync, ftruncateSync, readFileSync, write } from 'node:fs';
import { isatty } from 'node:tty';
import type { Extent } from '../control/administration.js';
import { write as writeStream } from '../control/http.js';
import { Failure } from './failure.js';

const STDOUT = 1;
const ZEROS = Buffer.alloc(1024 * 1024);
/** In /proc/self/fdinfo, flags are octal. */
const O_APPEND = 0o2000;

export interface Sink {
  /** Ascending, without overlap. */
  write(extent: Extent): Promise<void>;
  /** `size`: bytes of the whole. */
  end(size: number): Promise<void>;
  /** Takes back what can be taken back, so that half an image is not mistaken for one. */
  undo(): void;
}

/** @throws Failure when standard output is a terminal. */
export function openStandardOutput(): Sink {
  if (isatty(STDOUT)) {
    throw Failure.usage("an image is not shown on a terminal; use 'dog vdi export NAME > FILE'");
  }
  const stat = fstatSync(STDOUT);
  // Only a file that is empty reads as zeros wherever nothing is written.
  if (stat.isFile() && stat.size === 0 && !isAppending()) return new FileSink();
  return new StreamSink(stat.isFIFO() || stat.isSocket() ? writePipe : writeDescriptor);
}

function isAppending(): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${STDOUT}`, 'utf8'))?.[1] ?? '0';
  return (parseInt(flags, 8) & O_APPEND) !== 0;
}

class FileSink implements Sink {
  async write({ offset, data }: Extent): Promise<void> {
    await writeDescriptor(data, offset);
  }

  async end(size: number): Promise<void> {
    ftruncateSync(STDOUT, size);
  }

  undo(): void {
    ftruncateSync(STDOUT, 0);
  }
}

class StreamSink implements Sink {
  private readonly writeAll: (data: Uint8Array) => Promise<void>;
  private position = 0;

  constructor(writeAll: (data: Uint8Array) => Promise<void>) {
    this.writeAll = writeAll;
  }

  async write({ offset, data }: Extent): Promise<void> {
    await this.fill(offset);
    await this.writeAll(data);
    this.position += data.length;
  }

  async end(size: number): Promise<void> {
    await this.fill(size);
  }

  undo(): void {}

  private async fill(end: number): Promise<void> {
    while (this.position < end) {
      const zeros = ZEROS.subarray(0, end - this.position);
      await this.writeAll(zeros);
      this.position += zeros.length;
    }
  }
}

async function writePipe(data: Uint8Array): Promise<void> {
  // What goes wrong there ends the program, however it is written to.
  await writeStream(process.stdout, data);
}

async function writeDescriptor(data: Uint8Array, position: number | null = null): Promise<void> {
  let done = 0;
  while (done < data.length) {
    const at = position === null ? null : position + done;
    done += await new Promise<number>((resolve, reject) => {
      write(STDOUT, data, done, data.length - done, at, (error, written) => {
        if (error) reject(new Failure(`cannot write to standard output (${error.code}); nothing useful was exported`));
        else resolve(written);
      });
    });
  }
}
