/** `sluice admin groups`: list, create, delete, status, redrive. */
import type { Command } from 'commander';
import { ATTEMPTS_MAX, REDRIVE_MAX } from '../../base/limits.ts';
import { ApiClient, pathPart } from '../api-client.ts';
import { mayDo } from '../confirm.ts';
import { wholeNumber } from '../option-values.ts';
import { type Column, countText, Output } from '../output.ts';
import { millisecondsList } from '../setting-options.ts';
import { type AskOptions, addAskOptions, targetOf } from '../target.ts';

type Group = {
  readonly group: string;
  readonly groupId: number;
  readonly maxAttempts: number;
  readonly retryBackoffMs: readonly number[];
};

type Member = {
  readonly subscription: number;
  readonly topic: string;
  readonly member: string | null;
  readonly client: string;
  readonly address: string;
  readonly filter: string;
  readonly credit: number;
  readonly queues: readonly number[];
};

/** A client of RocketMQ. */
type PullMember = {
  readonly clientId: string;
  readonly client: string;
  readonly address: string;
  readonly subscriptions: Readonly<Record<string, string>>;
  /** Why it is not let in. */
  readonly difference: string | null;
};

type GroupQueue = {
  readonly topic: string;
  readonly queueId: number;
  readonly ackedThrough: number;
  readonly maxOffset: number;
  readonly lag: number;
  readonly inFlight: number;
  readonly retrying: number;
  readonly dead: number;
  readonly owner: number | null;
};

type GroupStatus = Group & {
  readonly members: readonly Member[];
  readonly pullMembers: readonly PullMember[];
  readonly lag: number;
  readonly inFlight: number;
  readonly retrying: number;
  readonly dead: number;
  readonly queues: readonly GroupQueue[];
};

type ListedGroup = Group & { readonly members: number; readonly pullMembers: number };

const GROUP_COLUMNS: readonly Column<ListedGroup>[] = [
  { title: 'group', value: ({ group }) => group },
  { title: 'members', value: ({ members, pullMembers }) => members + pullMembers },
  { title: 'attempts', value: ({ maxAttempts }) => maxAttempts },
];

const MEMBER_COLUMNS: readonly Column<Member>[] = [
  { title: 'member', value: ({ member }) => member },
  { title: 'client', value: ({ client }) => client },
  { title: 'address', value: ({ address }) => address },
  { title: 'topic', value: ({ topic }) => topic },
  { title: 'filter', value: ({ filter }) => filter },
  { title: 'queues', value: ({ queues }) => queues.join(' ') },
  { title: 'credit', value: ({ credit }) => credit },
];

const PULL_MEMBER_COLUMNS: readonly Column<PullMember>[] = [
  { title: 'member', value: ({ clientId }) => clientId },
  { title: 'client', value: ({ client }) => client },
  { title: 'address', value: ({ address }) => address },
  {
    title: 'reads',
    value: ({ subscriptions }) =>
      Object.entries(subscriptions)
        .map(([topic, expression]) => `${topic}: ${expression}`)
        .join(', '),
  },
  { title: 'not let in', value: ({ difference }) => difference ?? '' },
];

const QUEUE_COLUMNS: readonly Column<GroupQueue>[] = [
  { title: 'topic', value: ({ topic }) => topic },
  { title: 'queue', value: ({ queueId }) => queueId },
  { title: 'acked through', value: ({ ackedThrough }) => ackedThrough },
  { title: 'next offset', value: ({ maxOffset }) => maxOffset },
  { title: 'lag', value: ({ lag }) => lag },
  { title: 'in flight', value: ({ inFlight }) => inFlight },
  { title: 'retrying', value: ({ retrying }) => retrying },
  { title: 'dead', value: ({ dead }) => dead },
];

export function addGroupCommands(admin: Command): void {
  const groups = admin
    .command('groups')
    .description('list, create, delete consumer groups, show one, redrive dead letters');
  addAskOptions(groups.command('list').description('list all groups')).action(list);
  addAskOptions(
    groups
      .command('create')
      .description('create a group, or change its settings')
      .argument('<group>')
      .option(
        '--max-attempts <n>',
        'deliveries before a message goes to the dead-letter topic',
        wholeNumber(1, ATTEMPTS_MAX),
      )
      .option(
        '--retry-backoff <times>',
        'pauses before the second, third, … delivery: 1s,5s,1m',
        millisecondsList,
      ),
  ).action(create);
  addAskOptions(
    groups
      .command('delete')
      .description('delete a group and its position in all topics')
      .argument('<group>')
      .option('--yes', 'do not ask'),
  ).action(remove);
  addAskOptions(
    groups
      .command('status')
      .description('show members, lag and queues of a group')
      .argument('<group>'),
  ).action(status);
  addAskOptions(
    groups
      .command('redrive')
      .description('send dead letters of a group to the topics they came from')
      .argument('<group>')
      .option('--max <n>', 'at most so many', wholeNumber(1, REDRIVE_MAX)),
  ).action(redrive);
}

const pathOf = (group: string): string => `/api/groups/${pathPart(group)}`;

async function list(options: AskOptions): Promise<void> {
  const { groups } = await new ApiClient(targetOf(options)).get<{
    groups: ListedGroup[];
  }>('/api/groups');
  const sorted = groups.toSorted((one, other) => (one.group < other.group ? -1 : 1));
  new Output(options).rows(GROUP_COLUMNS, sorted, 'There are no groups.');
}

type CreateOptions = AskOptions & {
  readonly maxAttempts?: number;
  readonly retryBackoff?: readonly number[];
};

async function create(group: string, options: CreateOptions): Promise<void> {
  const { maxAttempts, retryBackoff } = options;
  const made = await new ApiClient(targetOf(options)).post<Group>('/api/groups', {
    group,
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    ...(retryBackoff === undefined ? {} : { retryBackoffMs: retryBackoff }),
  });
  const output = new Output(options);
  output.json(made);
  output.text(`The group ${made.group} delivers a message at most ${made.maxAttempts} times.`);
}

async function remove(group: string, options: AskOptions & { yes?: boolean }): Promise<void> {
  const api = new ApiClient(targetOf(options));
  const { lag } = await api.get<GroupStatus>(pathOf(group));
  const question = `Delete the group ${group}, with ${countText(lag, 'message')} that it has not acknowledged?`;
  if (!(await mayDo(question, options))) return;
  const output = new Output(options);
  output.json(await api.delete(pathOf(group)));
  output.text(`The group ${group} is deleted.`);
}

async function status(group: string, options: AskOptions): Promise<void> {
  const found = await new ApiClient(targetOf(options)).get<GroupStatus>(pathOf(group));
  const output = new Output(options);
  output.json(found);
  if (output.isJson) return;
  const { lag, inFlight, retrying, dead } = found;
  output.text(
    `${found.group}: lag ${lag}, in flight ${inFlight}, retrying ${retrying}, dead ${dead}`,
  );
  const { members, pullMembers } = found;
  if (members.length > 0 || pullMembers.length === 0)
    output.rows(MEMBER_COLUMNS, members, 'No members are connected.');
  if (pullMembers.length > 0) output.rows(PULL_MEMBER_COLUMNS, pullMembers, '');
  output.rows(QUEUE_COLUMNS, found.queues, 'It has no position in any topic yet.');
}

async function redrive(group: string, options: AskOptions & { max?: number }): Promise<void> {
  const { max } = options;
  const answer = await new ApiClient(targetOf(options)).post<{ redriven: number }>(
    `${pathOf(group)}/redrive`,
    max === undefined ? {} : { max },
  );
  const output = new Output(options);
  output.json(answer);
  output.text(`${countText(answer.redriven, 'dead letter')} sent to where they came from.`);
}
