/**
 * All commands under one parser. Command modules are small and load what they need when they run, so that `quorate put`
 * does not pay for `quorate dev`.
 */
import { readFileSync } from 'node:fs';
import yargs, { type Argv } from 'yargs';
import { Exit, explain, UsageError } from './cli-error.js';
import { balanceCommand } from './commands/balance.js';
import { configCommand } from './commands/config-print.js';
import { delCommand } from './commands/del.js';
import { devCommand } from './commands/dev.js';
import { getCommand } from './commands/get.js';
import { listCommand } from './commands/list.js';
import { locateCommand } from './commands/locate.js';
import { mapCommand } from './commands/map.js';
import { moveCommand } from './commands/move.js';
import { nodeCommand } from './commands/node.js';
import { nodesCommand } from './commands/nodes.js';
import { txnCommand, watchCommand } from './commands/not-implemented.js';
import { putCommand } from './commands/put.js';
import { reshardCommand } from './commands/reshard.js';
import { settingsCommand } from './commands/settings.js';
import { shardsCommand } from './commands/shards.js';
import { statusCommand } from './commands/status.js';
import { verifyCommand } from './commands/verify.js';
import { type Globals, joinRepeated, withGlobals } from './flags.js';
import { markLiterals, unmarkArguments, withoutMarks } from './literal-arguments.js';
import { say } from './output.js';

const COMMANDS: readonly ((yargs: Argv<Globals>) => Argv<Globals>)[] = [
  devCommand,
  nodeCommand,
  configCommand,
  putCommand,
  getCommand,
  delCommand,
  listCommand,
  watchCommand,
  txnCommand,
  statusCommand,
  mapCommand,
  locateCommand,
  reshardCommand,
  moveCommand,
  balanceCommand,
  nodesCommand,
  shardsCommand,
  settingsCommand,
  verifyCommand,
];

/** Flags that may be given several times. */
const REPEATED: readonly string[] = ['weight', 'exclude-shard', 'exclude-node', 'shard'];

function version(): string {
  const file = new URL('../../../package.json', import.meta.url);
  const { version: text } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return text;
}

function parser(args: readonly string[], env: NodeJS.ProcessEnv): Argv<Globals> {
  const bare = yargs(markLiterals(joinRepeated(args, REPEATED)))
    .scriptName('quorate')
    .usage('$0 <command>\n\nA sharded key-value store that does not lose data.')
    // Keys and values are taken as they are typed: no number is parsed out of 0042, no object out of a.b.
    .parserConfiguration({
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'duplicate-arguments-array': false,
    })
    .middleware(unmarkArguments)
    .locale('en')
    .exitProcess(false)
    .version(version())
    .help()
    .alias('help', 'h')
    .wrap(process.stdout.isTTY === true ? Math.min(120, process.stdout.columns) : 100);
  let all = withGlobals(bare, env);
  for (const command of COMMANDS) all = command(all);
  return all
    .completion('completion', 'print a script for the shell: quorate completion >> ~/.bashrc')
    .demandCommand(1, 'name a command')
    .strict()
    .fail((message, error) => {
      // A handler's own error comes through here too; only what yargs itself found is wrong usage.
      if (error !== undefined && error.name !== 'YError') throw error;
      throw new UsageError(withoutMarks(message ?? error?.message ?? 'wrong usage'));
    });
}

/** Runs one command line; resolves with the exit code. Never rejects. */
export async function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    await parser(args, env).parseAsync();
    return Exit.Done;
  } catch (error) {
    const { exit, line } = explain(error);
    const help = exit === Exit.Usage && !line.includes('--help') ? " (see 'quorate --help')" : '';
    say(`quorate: ${line}${help}`);
    return exit;
  }
}
