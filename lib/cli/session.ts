import type { Command } from 'commander';
import { ControlClient } from '../control/client.js';

/** Options that any command may come with; those it does not have are never set. */
export interface CommonOptions {
  control: string;
  json?: boolean;
  quiet?: boolean;
}

/** The client and the options of a command that was given. */
export function sessionOf<T extends object>(command: Command): { client: ControlClient; options: T & CommonOptions } {
  const options = command.optsWithGlobals<T & CommonOptions>();
  return { client: new ControlClient(options.control), options };
}
