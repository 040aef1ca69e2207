/** `sluice admin transactions`: half messages whose end nobody has told: list them, settle one. */
import type { Command } from 'commander';
import { DELAYED_LIST_MAX } from '../../base/limits.ts';
import type { WireHalf } from '../../protocol/web/messages.ts';
import { ApiClient, pathPart } from '../api-client.ts';
import { oneOf, wholeNumber } from '../option-values.ts';
import { type Column, countText, Output, timeText } from '../output.ts';
import { type AskOptions, addAskOptions, targetOf } from '../target.ts';

type Outcome = 'committed' | 'rolledBack' | 'notFound';

const COLUMNS: readonly Column<WireHalf>[] = [
  { title: 'sent', value: ({ bornAt }) => timeText(bornAt) },
  { title: 'topic', value: ({ topic }) => topic },
  { title: 'group', value: ({ group }) => group },
  { title: 'key', value: ({ key }) => key },
  { title: 'asked', value: ({ checks }) => checks },
  { title: 'next', value: ({ nextCheckAt }) => timeText(nextCheckAt) },
  { title: 'message id', value: ({ messageId }) => messageId },
];

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  committed: 'committed: consumers see the message',
  rolledBack: 'rolled back: nobody ever sees the message',
  notFound: 'not found: no half message with this id waits or was settled lately',
};

export function addTransactionCommands(admin: Command): void {
  const transactions = admin
    .command('transactions')
    .description(
      'list half messages whose producers do not say what became of them, and settle one',
    );
  addAskOptions(
    transactions
      .command('list')
      .description('show those that nobody is asked about any more, the oldest first')
      .option('--all', 'those too whose producers are still asked')
      .option('--max <n>', 'messages at most (100)', wholeNumber(1, DELAYED_LIST_MAX)),
    'message',
  ).action(list);
  addAskOptions(
    transactions
      .command('settle')
      .description('end one as its producer would; what was decided before holds')
      .argument('<messageId>', 'from the list, or from the receipt')
      .argument('<decision>', 'commit or rollback', oneOf(['commit', 'rollback'])),
  ).action(settle);
}

async function list(
  options: AskOptions & { readonly all?: boolean; readonly max?: number },
): Promise<void> {
  const query = new URLSearchParams({ state: options.all === true ? 'all' : 'parked' });
  if (options.max !== undefined) query.set('max', String(options.max));
  const { messages, waiting } = await new ApiClient(targetOf(options)).get<{
    messages: WireHalf[];
    waiting: number;
  }>(`/api/transactions?${query}`);
  const output = new Output(options);
  output.rows(COLUMNS, messages, 'No half message waits for an operator.');
  if (waiting > messages.length) output.text(`${countText(waiting, 'message')} in all.`);
}

async function settle(messageId: string, decision: string, options: AskOptions): Promise<void> {
  const path = `/api/transactions/${pathPart(messageId)}`;
  const result = await new ApiClient(targetOf(options)).post<{ outcome: Outcome }>(path, {
    decision,
  });
  const output = new Output(options);
  output.json(result);
  output.text(OUTCOMES[result.outcome]);
  if (result.outcome !== (decision === 'commit' ? 'committed' : 'rolledBack')) process.exitCode = 1;
}
