/** `sluice admin offsets reset`: where a group goes on, tried first with --dry-run. */
import type { Command } from 'commander';
import type { SeekTo } from '../../protocol/web/messages.ts';
import { ApiClient, pathPart } from '../api-client.ts';
import { mayDo } from '../confirm.ts';
import { seekTarget } from '../option-values.ts';
import { type Column, Output } from '../output.ts';
import { type AskOptions, addAskOptions, targetOf } from '../target.ts';

type ResetOptions = AskOptions & {
  readonly to: SeekTo;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
};

type ResetQueue = { readonly queueId: number; readonly before: number; readonly after: number };
type ResetAnswer = {
  readonly group: string;
  readonly topic: string;
  readonly dryRun: boolean;
  readonly queues: readonly ResetQueue[];
};

const COLUMNS: readonly Column<ResetQueue>[] = [
  { title: 'queue', value: ({ queueId }) => queueId },
  { title: 'before', value: ({ before }) => before },
  { title: 'after', value: ({ after }) => after },
  { title: 'change', value: ({ before, after }) => after - before },
];

export function addOffsetCommands(admin: Command): void {
  const offsets = admin.command('offsets').description('set where a group goes on');
  const command = offsets
    .command('reset')
    .description('set where a group goes on in a topic')
    .argument('<group>')
    .argument('<topic>')
    .requiredOption(
      '--to <where>',
      'earliest, latest, a time (milliseconds since 1970 or ISO 8601), or offsets by queue: 0=17,3=20',
      seekTarget,
    )
    .option('--dry-run', 'only show what it would do')
    .option('--yes', 'do not ask');
  addAskOptions(command).action(reset);
}

async function reset(group: string, topic: string, options: ResetOptions): Promise<void> {
  const api = new ApiClient(targetOf(options));
  const path = `/api/groups/${pathPart(group)}/offsets`;
  const ask = (dryRun: boolean): Promise<ResetAnswer> =>
    api.post<ResetAnswer>(path, { topic, to: options.to, dryRun });
  const output = new Output(options);
  if (options.dryRun !== true) {
    const question = `Set where the group ${group} goes on in ${topic}? Messages before are not delivered, messages after are delivered again.`;
    if (!(await mayDo(question, options))) return;
  }
  const answer = await ask(options.dryRun === true);
  output.json(answer);
  if (output.isJson) return;
  output.text(
    answer.dryRun
      ? 'Nothing was changed; this is what it would be:'
      : `The group ${group} goes on from here:`,
  );
  output.rows(COLUMNS, answer.queues, 'no queues');
}
