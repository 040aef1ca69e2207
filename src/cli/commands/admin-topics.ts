/** `sluice admin topics`: list, create, delete, status. */
import type { Command } from 'commander';
import { TOPIC_QUEUES_MAX } from '../../base/limits.ts';
import { ApiClient, pathPart } from '../api-client.ts';
import { mayDo } from '../confirm.ts';
import { oneOf, wholeNumber } from '../option-values.ts';
import { type Column, countText, Output, sizeText, timeText } from '../output.ts';
import { byteCount, milliseconds } from '../setting-options.ts';
import { type AskOptions, addAskOptions, targetOf } from '../target.ts';

const WHEN_FULL: readonly string[] = ['refuse', 'drop-oldest', 'drop-consumed'];

/** A topic as the broker describes it. */
type Topic = {
  readonly topic: string;
  readonly topicId: number;
  readonly queues: number;
  readonly retentionMs: number | null;
  readonly retentionBytes: number | null;
  readonly whenFull: string;
  readonly deadLetterOf: string | null;
};

type TopicQueue = {
  readonly queueId: number;
  readonly minOffset: number;
  readonly maxOffset: number;
  readonly messages: number;
  readonly lastStoredAtMs: number | null;
};

type TopicStatus = Omit<Topic, 'queues'> & {
  readonly messages: number;
  readonly queues: readonly TopicQueue[];
};

const TOPIC_COLUMNS: readonly Column<Topic>[] = [
  { title: 'topic', value: ({ topic }) => topic },
  { title: 'queues', value: ({ queues }) => queues },
  { title: 'retention', value: retentionText },
  { title: 'when full', value: ({ whenFull }) => whenFull },
  { title: 'dead letters of', value: ({ deadLetterOf }) => deadLetterOf },
];

const QUEUE_COLUMNS: readonly Column<TopicQueue>[] = [
  { title: 'queue', value: ({ queueId }) => queueId },
  { title: 'first offset', value: ({ minOffset }) => minOffset },
  { title: 'next offset', value: ({ maxOffset }) => maxOffset },
  { title: 'messages', value: ({ messages }) => messages },
  { title: 'last stored', value: ({ lastStoredAtMs }) => timeText(lastStoredAtMs) },
];

function retentionText(topic: Pick<Topic, 'retentionMs' | 'retentionBytes'>): string {
  const parts = [
    ...(topic.retentionMs === null ? [] : [`${topic.retentionMs / 3_600_000} h`]),
    ...(topic.retentionBytes === null ? [] : [`${sizeText(topic.retentionBytes)} a queue`]),
  ];
  return parts.length === 0 ? "the broker's" : parts.join(', ');
}

export function addTopicCommands(admin: Command): void {
  const topics = admin.command('topics').description('list, create, delete topics, and show one');
  addAskOptions(topics.command('list').description('list all topics')).action(list);
  addAskOptions(
    topics
      .command('create')
      .description('create a topic')
      .argument('<topic>')
      .option(
        '--queues <n>',
        "number of queues (the broker's default)",
        wholeNumber(1, TOPIC_QUEUES_MAX),
      )
      .option(
        '--retention <time>',
        'keep messages so long: 72h, 30m, or milliseconds',
        milliseconds,
      )
      .option('--retention-bytes <size>', 'keep so many bytes per queue: 10g, 500m', byteCount)
      .option(
        '--when-full <what>',
        `when the disk is full: ${WHEN_FULL.join(', ')}`,
        oneOf(WHEN_FULL),
      ),
  ).action(create);
  addAskOptions(
    topics
      .command('delete')
      .description('delete a topic with all its messages')
      .argument('<topic>')
      .option('--yes', 'do not ask'),
  ).action(remove);
  addAskOptions(
    topics.command('status').description('show a topic and its queues').argument('<topic>'),
  ).action(status);
}

async function list(options: AskOptions): Promise<void> {
  const { topics } = await new ApiClient(targetOf(options)).get<{ topics: Topic[] }>('/api/topics');
  const sorted = topics.toSorted((one, other) => (one.topic < other.topic ? -1 : 1));
  new Output(options).rows(TOPIC_COLUMNS, sorted, 'There are no topics.');
}

type CreateOptions = AskOptions & {
  readonly queues?: number;
  readonly retention?: number;
  readonly retentionBytes?: number;
  readonly whenFull?: string;
};

async function create(topic: string, options: CreateOptions): Promise<void> {
  const { queues, retention, retentionBytes, whenFull } = options;
  const made = await new ApiClient(targetOf(options)).post<Topic>('/api/topics', {
    topic,
    ...(queues === undefined ? {} : { queues }),
    ...(retention === undefined ? {} : { retentionMs: retention }),
    ...(retentionBytes === undefined ? {} : { retentionBytes }),
    ...(whenFull === undefined ? {} : { whenFull }),
  });
  const output = new Output(options);
  output.json(made);
  output.text(`The topic ${made.topic} has ${countText(made.queues, 'queue')}.`);
}

async function remove(topic: string, options: AskOptions & { yes?: boolean }): Promise<void> {
  const api = new ApiClient(targetOf(options));
  const path = `/api/topics/${pathPart(topic)}`;
  // Also tells, before the question, that there is no such topic.
  const { messages } = await api.get<TopicStatus>(path);
  const question = `Delete the topic ${topic} with ${countText(messages, 'message')}?`;
  if (!(await mayDo(question, options))) return;
  const output = new Output(options);
  output.json(await api.delete(path));
  output.text(`The topic ${topic} is deleted.`);
}

async function status(topic: string, options: AskOptions): Promise<void> {
  const found = await new ApiClient(targetOf(options)).get<TopicStatus>(
    `/api/topics/${pathPart(topic)}`,
  );
  const output = new Output(options);
  output.json(found);
  if (output.isJson) return;
  output.text(
    `${found.topic}: ${countText(found.messages, 'message')}, retention ${retentionText(found)}, when full ${found.whenFull}`,
  );
  output.rows(QUEUE_COLUMNS, found.queues, 'no queues');
}
