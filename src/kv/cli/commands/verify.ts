import type { Argv } from 'yargs';
import type { BasicClient, VerifyRunsView, VerifyView } from '../../client/index.js';
import { CliError, withHints } from '../cli-error.js';
import { duration, type Globals, nameLists, wholeNumber } from '../flags.js';
import { type Colors, print, renderTable, say, warn } from '../output.js';
import { renderVerification, verifyComplaint, verifyHeadline } from '../verify-report.js';
import { watchVerification } from '../verify-watch.js';
import { withClient } from '../with-client.js';

const MIB_PER_S_MAX = 1_024;

const HINTS = {
  conflict: "'quorate verify list' shows verifications, 'quorate reshard status' the plan",
  outcome_unknown: "'quorate verify list' shows whether it has begun",
};

const RUN_COLUMNS = ['VERIFICATION', 'STATE', 'RESULT', 'STARTED'].map((title) => ({ title }));

const renderRuns = (colors: Colors, { runs }: VerifyRunsView): Promise<string> =>
  renderTable(
    colors,
    RUN_COLUMNS,
    runs.map(({ id, state, result, started }) => [id, state, result ?? '-', started]),
  );

/** Exit code 1 where something differs, or could not be compared. */
function failUnlessClean(view: VerifyView): void {
  const complaint = view.state === 'running' ? null : verifyComplaint(view);
  if (complaint !== null) throw new CliError(complaint);
}

async function latest(client: BasicClient): Promise<string> {
  const { runs, silent } = await client.verifications();
  if (silent.length > 0) warn(`${silent.join(', ')} did not say which verifications they know`);
  const [newest] = runs;
  if (newest === undefined) throw new CliError("no node remembers a verification; 'quorate verify' begins one");
  return newest.id;
}

const status = (yargs: Argv<Globals>) =>
  yargs.command(
    'status [id]',
    'the latest verification, or the one named; exit code 1 if it found differences',
    (command) => command.positional('id', { type: 'string', describe: 'id of the verification' }),
    async (args) => {
      const view = await withClient(args, async (client) => {
        const id = args.id ?? (await latest(client));
        const found = await client.verification(id);
        if (found === null)
          throw new CliError(`no node knows verification ${id}: the one that carried it on may have started again`);
        return found;
      });
      await print(args.output, view, (colors) => renderVerification(colors, view));
      failUnlessClean(view);
    },
  );

const list = (yargs: Argv<Globals>) =>
  yargs.command(
    'list',
    'the verifications that nodes remember',
    (command) => command,
    async (args) => {
      const view = await withClient(args, (client) => client.verifications());
      if (view.silent.length > 0) warn(`${view.silent.join(', ')} did not answer`);
      await print(args.output, view, (colors) => renderRuns(colors, view));
    },
  );

const cancel = (yargs: Argv<Globals>) =>
  yargs.command(
    'cancel <id>',
    'end a verification',
    (command) => command.positional('id', { type: 'string', demandOption: true, describe: 'id of the verification' }),
    async (args) => {
      const view = await withClient(args, (client) => client.cancelVerification(args.id));
      await print(args.output, view, (colors) => verifyHeadline(colors, view));
    },
  );

export const verifyCommand = (yargs: Argv<Globals>) =>
  yargs.command(
    'verify',
    'compare the replicas of shards, record by record, and the receipts of a plan',
    (command) => {
      const whole = command
        .option('shard', {
          type: 'string',
          requiresArg: true,
          describe: 'these only, like s1,s2; may be repeated (default: all)',
        })
        .option('plan', { type: 'string', requiresArg: true, describe: 'its receipts too, and that they still hold' })
        .option('mib-per-s', {
          type: 'string',
          requiresArg: true,
          describe: 'what each node reads at most (default: 8)',
        })
        .option('give-up-after', {
          type: 'string',
          requiresArg: true,
          describe: 'how long a node may take (default: 6h)',
        })
        .option('watch', { type: 'boolean', default: false, describe: 'follow it to its end' })
        .example('$0 verify --watch', 'read and compare everything')
        .example('$0 verify --plan p5 --watch', 'what plan p5 has proved, and that it still holds');
      for (const add of [status, list, cancel]) add(whole);
      return whole;
    },
    async (args) => {
      const { shard: shards } = nameLists({ shard: args.shard });
      const mibPerS =
        args.mibPerS === undefined ? undefined : wholeNumber('--mib-per-s', args.mibPerS, 1, MIB_PER_S_MAX);
      const giveUp_ms = args.giveUpAfter === undefined ? undefined : duration('--give-up-after', args.giveUpAfter);
      const options = {
        ...(shards === undefined ? {} : { shards }),
        ...(args.plan === undefined ? {} : { plan: args.plan }),
        ...(mibPerS === undefined ? {} : { mibPerS }),
        ...(giveUp_ms === undefined ? {} : { giveUp_ms }),
      };
      const view = await withClient(args, async (client) => {
        const begun = await withHints(HINTS, () => client.verify(options));
        if (!args.watch) return begun;
        say(`verification ${begun.id} has begun; it goes on if you stop watching`);
        return watchVerification(client, begun);
      });
      await print(args.output, view, (colors) =>
        args.watch
          ? renderVerification(colors, view)
          : `${verifyHeadline(colors, view)}; 'quorate verify status ${view.id}' shows how far it is`,
      );
      failUnlessClean(view);
    },
  );
