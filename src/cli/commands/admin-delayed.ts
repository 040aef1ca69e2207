/** `sluice admin delayed`: messages that wait for their time: list them, cancel some. */
import type { Command } from 'commander';
import { DELAYED_LIST_MAX } from '../../base/limits.ts';
import type { CancelOutcome, DelayedMessage } from '../../protocol/web/messages.ts';
import { ApiClient, pathPart } from '../api-client.ts';
import { wholeNumber } from '../option-values.ts';
import { type Column, countText, Output, timeText } from '../output.ts';
import { UsageError } from '../report-error.ts';
import { type AskOptions, addAskOptions, targetOf } from '../target.ts';

const COLUMNS: readonly Column<DelayedMessage>[] = [
  { title: 'due', value: ({ deliverAt }) => timeText(deliverAt) },
  { title: 'key', value: ({ key }) => key },
  { title: 'tag', value: ({ tag }) => tag },
  { title: 'queue', value: ({ queueId }) => queueId },
  { title: 'message id', value: ({ messageId }) => messageId },
];

const OUTCOMES: Readonly<Record<CancelOutcome, string>> = {
  cancelled: 'cancelled: it will not be delivered',
  delivered: 'delivered already: too late to cancel',
  notFound: 'not found: nothing of the kind waits or was delivered',
};

export function addDelayedCommands(admin: Command): void {
  const delayed = admin
    .command('delayed')
    .description('list messages that wait for their time, and cancel some');
  addAskOptions(
    delayed
      .command('list')
      .description('show the messages of a topic that wait, what is due first first')
      .argument('<topic>')
      .option('--key <key>', 'only those with this key')
      .option('--max <n>', 'messages at most (100)', wholeNumber(1, DELAYED_LIST_MAX)),
    'message',
  ).action(list);
  addAskOptions(
    delayed
      .command('cancel')
      .description('cancel those with a key, or one by its id; exit code 1 if there are none')
      .argument('<topic>')
      .option('--key <key>', 'the key they were sent with')
      .option('--id <messageId>', 'the message id of the receipt'),
  ).action(cancel);
}

async function list(
  topic: string,
  options: AskOptions & { readonly key?: string; readonly max?: number },
): Promise<void> {
  const query = new URLSearchParams();
  if (options.key !== undefined) query.set('key', options.key);
  if (options.max !== undefined) query.set('max', String(options.max));
  const { messages, waiting } = await new ApiClient(targetOf(options)).get<{
    messages: DelayedMessage[];
    waiting: number;
  }>(`/v1/topics/${pathPart(topic)}/delayed?${query}`);
  const output = new Output(options);
  output.rows(COLUMNS, messages, `No such message of ${topic} waits for its time.`);
  if (waiting > messages.length) output.text(`${countText(waiting, 'message')} of ${topic} wait.`);
}

async function cancel(
  topic: string,
  options: AskOptions & { readonly key?: string; readonly id?: string },
): Promise<void> {
  const { key, id } = options;
  if ((key === undefined) === (id === undefined))
    throw new UsageError('cancel wants one of --key and --id', 'See: sluice admin delayed list');
  const query = new URLSearchParams(key === undefined ? { messageId: id as string } : { key });
  const result = await new ApiClient(targetOf(options)).delete<{
    outcome: CancelOutcome;
    messageIds: string[];
  }>(`/v1/topics/${pathPart(topic)}/delayed?${query}`);
  const output = new Output(options);
  output.json(result);
  const { outcome, messageIds } = result;
  const count = messageIds.length > 1 ? `${countText(messageIds.length, 'message')} ` : '';
  output.text(`${count}${OUTCOMES[outcome]}`);
  if (outcome !== 'cancelled') process.exitCode = 1;
}
