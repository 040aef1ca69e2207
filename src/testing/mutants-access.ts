/**
 * Planted bugs of access rights at the port of RocketMQ's clients (decision 6). The number is that of the list that every durable
 * broker is tested with.
 */
import type { Mutant } from './mutants.ts';

const MATRIX = { kind: 'test', file: 'remoting/access-matrix.test.js' } as const;
const RULES = { kind: 'test', file: 'remoting/access-rules.test.js' } as const;

const TOUCHED = 'remoting/touched-resources.js';

export const ACCESS_MUTANTS: readonly Mutant[] = [
  {
    name: '20: a transaction is ended with the right on the topic that the request names',
    plants: [
      {
        file: TOUCHED,
        find: "return [touchedTopic(await facts.topicAt(offset), 'PUB')];",
        replace: "return [touchedTopic(fieldsOf(command).text('topic', 255), 'PUB')];",
      },
    ],
    watcher: MATRIX,
  },
  {
    name: '20: a message is sent back with the right on the topic that the request names',
    plants: [
      {
        file: TOUCHED,
        find: "touchedGroup(name), touchedTopic(await facts.topicAt(offset), 'SUB')]",
        replace:
          "touchedGroup(name), touchedTopic(fields.optionalText('originTopic', 255) ?? 'own', 'SUB')]",
      },
    ],
    watcher: MATRIX,
  },
  {
    name: '20: a message is shown with the right on the topic that the request names',
    plants: [
      {
        file: TOUCHED,
        find: "return [touchedTopic(await facts.topicAt(offset), 'SUB')];",
        replace:
          "return [touchedTopic(fieldsOf(command).optionalText('topic', 255) ?? 'own', 'SUB')];",
      },
    ],
    watcher: MATRIX,
  },
  {
    name: '20: a message to a retry topic goes by the group that the header names, as in RocketMQ',
    plants: [
      {
        file: TOUCHED,
        find: "return (command) => [touchedTopic(command.fields.text(names.topic) ?? '', 'PUB')];",
        replace: `return (command) => {
        const name = command.fields.text(names.topic) ?? '';
        return name.startsWith('%RETRY%')
            ? [touchedGroup(command.fields.text(names.producerGroup) ?? '')]
            : [touchedTopic(name, 'PUB')];
    };`,
      },
    ],
    watcher: MATRIX,
  },
  {
    name: 'the short names of a send are not looked at',
    plants: [
      {
        file: TOUCHED,
        find: '[REQUEST_CODES.SEND_MESSAGE_V2, send(LETTER_NAMES)],',
        replace: '[REQUEST_CODES.SEND_MESSAGE_V2, send(LONG_NAMES)],',
      },
    ],
    watcher: MATRIX,
  },
  {
    name: 'only the first topic of a heartbeat counts',
    plants: [
      {
        file: TOUCHED,
        find: "...subscriptions.map((one) => touchedTopic(one.topic, 'SUB'))",
        replace: "...subscriptions.slice(0, 1).map((one) => touchedTopic(one.topic, 'SUB'))",
      },
    ],
    watcher: MATRIX,
  },
  {
    name: 'a request that no entry speaks of is for everybody',
    plants: [
      {
        file: TOUCHED,
        find: "return touches === undefined ? 'admin' : touches(command, facts);",
        replace: 'return touches === undefined ? [] : touches(command, facts);',
      },
    ],
    watcher: MATRIX,
  },
  {
    name: 'who has no right on a topic is asked about what is in it',
    plants: [
      {
        file: 'remoting/transaction-handlers.js',
        find: '.filter(({ connection }) => this.context.mayBeAsked(connection, topic.topic))',
        replace: '',
      },
    ],
    watcher: RULES,
  },
  {
    name: 'a wrong file of accounts lets everybody in',
    plants: [
      {
        file: 'broker/acl-file-source.js',
        find: `next });
            return undefined;`,
        replace: `next });
            return { whiteAddresses: [() => true], accounts: new Map() };`,
      },
    ],
    watcher: RULES,
  },
];
