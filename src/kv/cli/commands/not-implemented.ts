/** Commands of the contract that this version does not carry out. They say so; they never half work. */
import type { Argv } from 'yargs';
import { CliError } from '../cli-error.js';
import type { Globals } from '../flags.js';

function refuseNotImplemented(command: string): never {
  throw new CliError(`${command} is not implemented in this version`);
}

/** Takes any arguments: none of them is wrong yet. */
const absent = (name: string, describe: string) => (yargs: Argv<Globals>) =>
  yargs.command(
    `${name} [args..]`,
    `${describe} (not implemented yet)`,
    (command) => command.strict(false),
    () => refuseNotImplemented(name),
  );

export const watchCommand = absent('watch', 'follow changes of keys');
export const txnCommand = absent('txn', 'an atomic transaction from a file');
