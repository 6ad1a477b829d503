/** The command line of `dog`. */
import { Command, CommanderError } from 'commander';
import { DEFAULT_CONTROL_PATH } from '../control/socket.js';
import { addClusterCommands } from './cluster-commands.js';
import { addDiskCommands } from './disk-commands.js';
import { EXIT_USAGE, exitCodeOf, lineOf, oneLine } from './failure.js';
import { addNodeCommands } from './node-commands.js';
import { endWithReader, printError } from './output.js';
import { addRecoveryCommand } from './recovery-command.js';
import { addStatusCommand } from './status-command.js';
import { addVdiCommands } from './vdi-commands.js';

/**
 * Carries out one command and sets the exit code: 0, 1 when it was refused or failed, 2 for a mistake in the command
 * line, with one line on standard error.
 */
export async function main(argv: readonly string[], version: string): Promise<void> {
  endWithReader();
  try {
    await build(version).parseAsync(argv as string[]);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed its own line, or what was asked for.
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
      return;
    }
    printError(lineOf(error));
    process.exitCode = exitCodeOf(error);
  }
}

function build(version: string): Command {
  const program = new Command('dog')
    .description('Looks after a cluster of sheep: talks to the daemon of this host.')
    .version(version, '--version', 'print the version')
    .option('--control <PATH>', "the daemon's control socket", DEFAULT_CONTROL_PATH)
    .exitOverride()
    .configureOutput({
      // Only a missing command makes it print help there; the usage is its first line.
      writeErr: (help) => printError(`a command is missing; ${oneLine(help.split('\n', 1)[0]!).toLowerCase()}`),
      outputError: (text) =>
        printError(`${oneLine(text.replace(/^error: /, '').replace(/\.?\s*$/, ''))}; see 'dog --help'`),
    })
    .showHelpAfterError(false);
  addStatusCommand(program);
  addVdiCommands(program);
  addNodeCommands(program);
  addDiskCommands(program);
  addRecoveryCommand(program);
  addClusterCommands(program);
  return program;
}
