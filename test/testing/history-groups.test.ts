/** Planted faults of consumers: order within a session, acks and commits that do not stay. */
import type { HistoryEvent } from '../../src/testing/history-events.ts';
import {
  DRAINED,
  delivery,
  HEAL,
  type Planted,
  TOPIC,
  testPlanted,
} from '../../src/testing/history-story.ts';

const PLANTED: readonly Planted[] = [
  [
    'one delivery comes twice in a session',
    'duplicated',
    (plot) => {
      plot.before({ ...DRAINED, id: 'a8' }, (record) =>
        record.deliver(delivery('a6', 0, 3, { c: 'd1', g: 'd' })),
      );
    },
  ],
  [
    'two deliveries change places',
    'consumer-order',
    (plot) => {
      plot.swap({ ...DRAINED, id: 'a6' }, { ...DRAINED, id: 'a8' });
    },
  ],
  [
    'a consumer is thrown back within its session',
    'consumer-order',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.deliver(delivery('b3', 0, 8));
        record.deliver(delivery('b1', 0, 6));
      });
    },
  ],
  [
    'a commit goes backwards',
    'backwards-commit',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.commit('invoke', { c: 'old', g: 'h', topic: TOPIC, q: 0, off: 7 });
        record.commit('ok', { c: 'old', g: 'h', topic: TOPIC, q: 0, off: 7 });
      });
    },
  ],
  [
    'the broker remembers an older commit after a restart',
    'backwards-commit',
    (plot) => {
      plot.edit({ f: 'committed', type: 'ok' }, { off: 9 });
    },
  ],
  [
    'the broker forgot the commit altogether',
    'backwards-commit',
    (plot) => {
      const { off: _, ...forgotten } = plot.remove({ f: 'committed', type: 'ok' }) as Record<
        string,
        unknown
      >;
      plot.events.splice(plot.find({ f: 'committed' }) + 1, 0, forgotten as HistoryEvent);
    },
  ],
  [
    'a commit lies beyond the end of the queue',
    'commit-beyond-end',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.commit('invoke', { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 13 });
        record.commit('ok', { c: 'h1', g: 'h', topic: TOPIC, q: 0, off: 13 });
      });
    },
  ],
  [
    'a message comes again after its ack',
    'redelivered-after-ack',
    (plot) => {
      plot.before(HEAL, (record) => record.deliver(delivery('b0', 0, 5, { attempt: 3 })));
    },
  ],
  [
    'a message comes to another consumer after its ack',
    'redelivered-after-ack',
    (plot) => {
      plot.before(HEAL, (record) => record.deliver(delivery('b0', 0, 5, { c: 'c2', attempt: 2 })));
    },
  ],
  [
    'a restart forgets acks',
    'redelivered-after-ack',
    (plot) => {
      plot.before({ f: 'deliver', id: 'b0', g: 'g' }, (record) =>
        record.deliver(delivery('a8', 0, 4)),
      );
    },
  ],
  [
    'a restart forgets acks and attempts',
    'redelivered-after-ack',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.session('c1', 'g', ['orders/0', 'orders/1']);
        record.deliver(delivery('b0', 0, 5));
      });
    },
  ],
  [
    'a new session starts below the committed offset',
    'redelivered-after-commit',
    (plot) => {
      plot.before(HEAL, (record) =>
        record.deliver(delivery('b4', 0, 9, { c: 'h1', g: 'h', via: 'pull' })),
      );
    },
  ],
];

testPlanted(PLANTED, [
  'duplicated',
  'consumer-order',
  'backwards-commit',
  'commit-beyond-end',
  'redelivered-after-ack',
  'redelivered-after-commit',
]);
