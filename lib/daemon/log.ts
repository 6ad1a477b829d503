import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';

export type { Logger };

/**
 * The worker's log: lines for people on standard error, which the journal keeps. `SHEEP_LOG` is a level ("debug"), or
 * "fuse" for a line of each request and reply.
 */
export function makeLogger(setting = process.env.SHEEP_LOG ?? 'info'): {
  log: Logger;
  trace: ((line: string) => void) | undefined;
} {
  const fuse = setting === 'fuse';
  const level = fuse ? 'trace' : setting in pino.levels.values ? setting : 'info';
  // Written at once: what a process said last matters most when it dies.
  const stream = pretty({
    destination: 2,
    sync: true,
    colorize: false,
    singleLine: true,
    ignore: 'pid,hostname,time',
    messageFormat: 'sheep: {msg}',
    customLevels: 'trace:10,debug:20,info:30,warn:40,error:50,fatal:60',
    hideObject: false,
  });
  const log = pino({ level }, stream);
  return { log, trace: fuse ? (line) => log.trace(line) : undefined };
}
