/** Planted bugs of RocketMQ's port: what it counts, limits and tells NameServers (decision 6). */
import type { Mutant } from './mutants.ts';

const LIMITS = { kind: 'test', file: 'remoting/limits.test.js' } as const;
const ANNOUNCED = { kind: 'test', file: 'remoting/announced.test.js' } as const;

const ODD = { kind: 'test', file: 'remoting/odd-requests.test.js' } as const;

export const PORT_MUTANTS: readonly Mutant[] = [
  {
    name: 'a topic is answered before the NameServer knows it',
    plants: [
      {
        file: 'remoting/topic-handlers.js',
        find: 'await facts.announced();',
        replace: '',
      },
    ],
    watcher: ANNOUNCED,
  },
  {
    name: 'a NameServer is taken to know what it was told and has not answered',
    plants: [
      {
        file: 'broker/registration-core.js',
        find: 'slot.toldChange = this.changes;',
        replace: 'slot.toldChange = this.changes; slot.knownChange = this.changes;',
      },
    ],
    watcher: { kind: 'test', file: 'broker/registration-core.test.js' },
  },
  {
    name: 'a batch of RocketMQ counts as one message against the limit',
    plants: [
      {
        file: 'remoting/send-limit.js',
        find: 'return Math.max(1, count);',
        replace: 'return 1;',
      },
    ],
    watcher: LIMITS,
  },
  {
    name: 'codes that a client makes up get metrics of their own name',
    plants: [
      {
        file: 'remoting/remoting-counters.js',
        find: '.fill(entries.length)',
        replace: '.fill(0)',
      },
      {
        file: 'remoting/remoting-counters.js',
        find: '?? this.names.length - 1',
        replace: '?? 0',
      },
    ],
    watcher: LIMITS,
  },
  {
    name: 'all addresses share one limit',
    plants: [
      {
        file: 'acceptor/send-rate.js',
        find: 'this.byAddress.get(address) ??',
        replace: 'this.byAddress.values().next().value ??',
      },
    ],
    watcher: { kind: 'test', file: 'acceptor/send-rate.test.js' },
  },
  {
    name: 'a batch that only its field names is stored as one message',
    plants: [
      {
        file: 'remoting/send-handlers.js',
        find: 'head.batch || ',
        replace: '',
      },
    ],
    watcher: ODD,
  },
  {
    name: 'what a producer says of the size of hosts is believed',
    plants: [
      {
        file: 'protocol/remoting/message-writer.js',
        find: 'origin.sysFlag & ~(BORN_HOST_IPV6 | STORE_HOST_IPV6)',
        replace: 'origin.sysFlag',
      },
    ],
    watcher: ODD,
  },
  {
    name: 'properties that do not fit are dropped in silence',
    plants: [
      {
        file: 'remoting/sent-record.js',
        find: 'bytes > MESSAGE_PROPERTIES_BYTES_MAX',
        replace: 'false',
      },
    ],
    watcher: ODD,
  },
  {
    name: 'pulls of who reads slowly are answered all at once',
    plants: [
      {
        file: 'remoting/pull-handlers.js',
        find: 'connection.isOverBudget && !connection.isClosed',
        replace: 'false',
      },
    ],
    watcher: { kind: 'test', file: 'remoting/slow-reader.test.js' },
  },
  {
    name: 'a slave moves a client to the first message that it has itself',
    plants: [
      {
        file: 'remoting/pull-handlers.js',
        find: 'offset >= 0 && (offset < min || offset > max)',
        replace: 'offset > max',
      },
    ],
    watcher: { kind: 'test', file: 'remoting/slave-offsets.test.js' },
  },
];
