/** `sluice admin messages`: one by its id, or the newest with a key. */
import type { Command } from 'commander';
import type { WireMessage } from '../../protocol/web/messages.ts';
import { ApiClient, pathPart } from '../api-client.ts';
import { type Column, Output, timeText } from '../output.ts';
import { type AskOptions, addAskOptions, targetOf } from '../target.ts';

/** Characters of a body in a table. */
const BODY_SHOWN_MAX = 60;

const COLUMNS: readonly Column<WireMessage>[] = [
  { title: 'message id', value: ({ messageId }) => messageId },
  { title: 'queue', value: ({ queueId }) => queueId },
  { title: 'offset', value: ({ queueOffset }) => queueOffset },
  { title: 'stored', value: ({ storedAt }) => timeText(storedAt) },
  { title: 'tag', value: ({ tag }) => tag },
  { title: 'body', value: bodyStart },
];

export function addMessageCommands(admin: Command): void {
  const messages = admin.command('messages').description('find messages by id or key');
  addAskOptions(
    messages
      .command('get')
      .description('show one message')
      .argument('<messageId>', '32 hex digits, from a receipt or a message'),
  ).action(get);
  addAskOptions(
    messages
      .command('find')
      .description('show the newest messages with a key, at most 64')
      .argument('<topic>')
      .requiredOption('--key <key>', 'the key they were sent with'),
    'message',
  ).action(find);
}

async function get(messageId: string, options: AskOptions): Promise<void> {
  const message = await new ApiClient(targetOf(options)).get<WireMessage>(
    `/api/messages/${pathPart(messageId)}`,
  );
  const output = new Output(options);
  output.json(message);
  if (output.isJson) return;
  const { topic, queueId, queueOffset, key, tag, storedAt, properties, body } = message;
  output.text(`topic       ${topic}, queue ${queueId}, offset ${queueOffset}`);
  output.text(`stored      ${timeText(storedAt) ?? '-'}`);
  output.text(`key         ${key === null ? '-' : JSON.stringify(key)}`);
  output.text(`tag         ${tag === null ? '-' : JSON.stringify(tag)}`);
  output.text(`properties  ${JSON.stringify(properties)}`);
  output.text(`body        ${JSON.stringify(body, null, 2)}`);
}

async function find(topic: string, options: AskOptions & { key: string }): Promise<void> {
  const path = `/api/topics/${pathPart(topic)}/messages?key=${pathPart(options.key)}`;
  const { messages } = await new ApiClient(targetOf(options)).get<{ messages: WireMessage[] }>(
    path,
  );
  new Output(options).rows(COLUMNS, messages, `No message of ${topic} has this key.`);
}

function bodyStart({ body }: WireMessage): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return text.length <= BODY_SHOWN_MAX ? text : `${text.slice(0, BODY_SHOWN_MAX)}…`;
}
