/** `dog cluster token` */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { AdministrationError, type Token } from '../control/administration.js';
import type { ControlClient } from '../control/client.js';
import { ClientError } from '../control/client-error.js';
import { parseDuration } from './duration.js';
import { Failure } from './failure.js';
import { print, printError, printJson } from './output.js';
import { sessionOf } from './session.js';

/** For a host alone to become one that others can join. */
const READY_DEADLINE_MS = 60_000;
const READY_POLL_MS = 200;

export interface TokenWish {
  ttlSeconds?: number;
  uses?: number;
}

interface TokenOptions {
  ttl?: string;
  uses?: string;
}

export function addTokenCommand(cluster: Command): void {
  cluster
    .command('token')
    .description('print what another host needs to join: sheep --join TOKEN')
    .option('--ttl <T>', 'how long it is good, such as 30m, 12h or 7d (default: a day)')
    .option('--uses <N>', 'for how many hosts (default: any number)')
    .option('--json', 'in JSON, with when it ends')
    .action(token);
}

async function token(_: object, command: Command): Promise<void> {
  const { client, options } = sessionOf<TokenOptions>(command);
  const wish = { ttlSeconds: ttlOf(options.ttl), uses: usesOf(options.uses) };
  const made = await untilToken(client, wish, READY_DEADLINE_MS, () => {
    // Standard output is the token's alone.
    if (process.stderr.isTTY) printError('this host gets ready for others to join; that takes some seconds');
  });
  if (options.json) printJson(made);
  else print(made.token);
}

/**
 * Asks for a token until the daemon has one. A host alone starts its worker anew for the first, so the daemon may be
 * away in between. `onWait` is called once, when it says so.
 *
 * @throws Failure after `deadlineMs`; ClientError where there is no daemon to begin with; AdministrationError.
 */
export async function untilToken(
  client: ControlClient,
  wish: TokenWish,
  deadlineMs: number,
  onWait: () => void = () => {},
): Promise<Token> {
  const end = performance.now() + deadlineMs;
  let waiting = false;
  for (let left = deadlineMs; left > 0; left = end - performance.now()) {
    try {
      const made = await client.token(wish, Math.ceil(left));
      if (made) return made;
    } catch (error) {
      if (!isAway(error, waiting)) throw error;
    }
    if (!waiting) onWait();
    waiting = true;
    await sleep(READY_POLL_MS);
  }
  throw new Failure(
    `the daemon has not got ready for other hosts within ${deadlineMs / 1000} s; its log says why, then ask again`,
  );
}

/** Whether the error is of a daemon that ends, is not there, or starts; `began`: it was there before. */
function isAway(error: unknown, began: boolean): boolean {
  if (error instanceof AdministrationError) return error.code === 'SHUTTING_DOWN';
  if (!(error instanceof ClientError)) return false;
  if (error.code === 'NOT_RUNNING') return began;
  return error.code === 'CONNECTION_LOST' || error.code === 'NO_ANSWER';
}

function ttlOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return parseDuration(text);
  } catch (error) {
    throw Failure.usage(`--ttl ${(error as Error).message}`);
  }
}

function usesOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw Failure.usage(`--uses takes a number from 1 to 9999, not ${text}`);
}
