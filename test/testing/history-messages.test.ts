/** Planted faults of messages: what is stored, where, and whether it stays. */
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import {
  CRC,
  DRAINED,
  delivery,
  END,
  HEAL,
  type Planted,
  recording,
  TOPIC,
  testPlanted,
  WITH_LOSS,
} from '../../src/testing/history-story.ts';

const PLANTED: readonly Planted[] = [
  [
    'an acknowledged message in the middle is never delivered',
    'lost',
    (plot) => {
      plot.removeAll({ f: 'deliver', id: 'b2' });
    },
  ],
  [
    'the last acknowledged message is never delivered',
    'lost',
    (plot) => {
      plot.removeAll({ f: 'deliver', id: 'a10' });
    },
  ],
  [
    'an acknowledged message was consumed once and is gone when the log is read again',
    'lost',
    (plot) => {
      plot.remove({ ...DRAINED, id: 'a4' });
    },
  ],
  [
    'an acknowledged message without a slot in its receipt is gone',
    'lost',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'x', p: 'p2', topic: TOPIC });
        record.sendOk('x', {});
      });
    },
  ],
  [
    'a whole queue is gone',
    'lost',
    (plot) => {
      plot.removeAll({ f: 'deliver', g: 'd', q: 1 });
    },
  ],
  [
    'a message that nobody sent',
    'phantom',
    (plot) => {
      plot.before(END, (record) => record.deliver(delivery('ghost', 1, 5, { c: 'd1', g: 'd' })));
    },
  ],
  [
    'a message that is delivered before it is sent',
    'phantom',
    (plot) => {
      plot.before({ type: 'invoke', id: 'b5' }, (record) =>
        record.deliver(delivery('b5', 0, 11, { c: 'c9' })),
      );
    },
  ],
  [
    'a message that was refused',
    'aborted-read',
    (plot) => {
      plot.before(END, (record) => record.deliver(delivery('b6', 0, 12, { c: 'd1', g: 'd' })));
    },
  ],
  [
    'a message that was delivered, never acknowledged, and taken back',
    'aborted-read',
    (plot) => {
      const { log, record } = recording();
      record.deliver(delivery('b5', 0, 11));
      plot.events.splice(plot.find(HEAL), 0, ...log.events);
      plot.remove({ ...DRAINED, id: 'b5' });
    },
  ],
  [
    'a body that was damaged on its way to a consumer',
    'corrupt',
    (plot) => {
      plot.edit({ f: 'deliver', id: 'a3', g: 'g' }, { crc: 8 });
    },
  ],
  [
    'a body that is damaged when read from the disk',
    'corrupt',
    (plot) => {
      plot.edit({ ...DRAINED, id: 'a3' }, { crc: 8 });
    },
  ],
  [
    'a message of another topic',
    'wrong-topic',
    (plot) => {
      plot.before(HEAL, (record) => record.deliver(delivery('a1', 0, 0, { topic: 'invoices' })));
    },
  ],
  [
    'two receipts with one offset',
    'slot-conflict',
    (plot) => {
      plot.edit({ f: 'send', type: 'ok', id: 'b4' }, { off: 8 });
      plot.removeAll({ f: 'deliver', id: 'b3' });
      plot.removeAll({ f: 'deliver', id: 'b4' });
      plot.before(END, (record) => {
        record.deliver(delivery('b3', 0, 8, { c: 'd2', g: 'd' }));
        record.deliver(delivery('b4', 0, 8, { c: 'd3', g: 'd' }));
      });
    },
  ],
  [
    'an offset is used again after its message was lost',
    'slot-conflict',
    (plot) => {
      plot.edit({ f: 'send', type: 'ok', id: 'a10' }, { off: 9 });
      plot.edit({ ...DRAINED, id: 'a10' }, { off: 9 });
      plot.swap({ ...DRAINED, id: 'a10' }, { ...DRAINED, id: 'b4' });
      plot.edit({ ...DRAINED, id: 'b4' }, { c: 'd2' });
    },
  ],
  [
    'a message with dedup is in two slots',
    'duplicated',
    (plot) => {
      plot.before(END, (record) => record.deliver(delivery('a10', 0, 12, { c: 'd1', g: 'd' })));
    },
  ],
  [
    'the retry of a message with dedup gets another offset',
    'duplicated',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'a10', p: 'p1', topic: TOPIC, seq: 10, dedup: true, crc: CRC });
        record.sendOk('a10', { q: 0, off: 12 });
      });
    },
  ],
  [
    'a message with dedup is in two queues',
    'duplicated',
    (plot) => {
      plot.before(END, (record) => record.deliver(delivery('a10', 1, 5, { c: 'd1', g: 'd' })));
    },
  ],
  [
    'a message that was sent once is in two slots',
    'duplicated',
    (plot) => {
      plot.before(END, (record) => record.deliver(delivery('b5', 0, 12, { c: 'd1', g: 'd' })));
    },
  ],
  [
    'a message that was sent twice without dedup is in three slots',
    'duplicated',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'b5', p: 'p2', topic: TOPIC, crc: CRC });
        record.sendInfo('b5');
      });
      plot.before(END, (record) => {
        record.deliver(delivery('b5', 0, 12, { c: 'd1', g: 'd' }));
        record.deliver(delivery('b5', 0, 13, { c: 'd1', g: 'd' }));
      });
    },
  ],
  [
    'pipelined sends of one producer change places',
    'producer-order',
    (plot) => {
      plot.before(HEAL, (record) => {
        for (const seq of [11, 12])
          record.sendInvoke({ id: `a${seq}`, p: 'p1', topic: TOPIC, seq, dedup: true });
        record.sendOk('a12', { q: 1, off: 5 });
        record.sendOk('a11', { q: 1, off: 6 });
      });
      plot.before(END, (record) => {
        record.deliver(delivery('a12', 1, 5, { c: 'd1', g: 'd' }));
        record.deliver(delivery('a11', 1, 6, { c: 'd1', g: 'd' }));
      });
    },
  ],
  [
    'sends with unknown outcome change places',
    'producer-order',
    (plot) => {
      plot.before(HEAL, (record) => {
        for (const seq of [11, 12])
          record.sendInvoke({ id: `a${seq}`, p: 'p1', topic: TOPIC, seq, dedup: true });
        for (const seq of [11, 12]) record.sendInfo(`a${seq}`);
      });
      plot.before(END, (record) => {
        record.deliver(delivery('a12', 1, 5, { c: 'd1', g: 'd' }));
        record.deliver(delivery('a11', 1, 6, { c: 'd1', g: 'd' }));
      });
    },
  ],
  [
    'an older incarnation of a producer writes after the newer one',
    'producer-order',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'old', p: 'p1', topic: TOPIC, seq: 11, epoch: 0, dedup: true });
        record.sendInvoke({ id: 'new', p: 'p1', topic: TOPIC, seq: 0, epoch: 1, dedup: true });
        record.sendOk('new', { q: 1, off: 5 });
        record.sendInfo('old');
      });
      plot.before(END, (record) => {
        record.deliver(delivery('new', 1, 5, { c: 'd1', g: 'd' }));
        record.deliver(delivery('old', 1, 6, { c: 'd1', g: 'd' }));
      });
    },
  ],
  [
    'a later send of the same producer gets a lower offset',
    'real-time-order',
    (plot) => {
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'x', p: 'p3', topic: TOPIC });
        record.sendOk('x', { q: 1, off: 7 });
        record.sendInvoke({ id: 'y', p: 'p3', topic: TOPIC });
        record.sendOk('y', { q: 1, off: 6 });
      });
      plot.before(END, (record) => {
        record.deliver(delivery('y', 1, 6, { c: 'd1', g: 'd' }));
        record.deliver(delivery('x', 1, 7, { c: 'd1', g: 'd' }));
      });
    },
  ],
  [
    'a later send of another producer gets a lower offset',
    'real-time-order',
    (plot) => {
      plot.edit({ f: 'send', type: 'ok', id: 'a10' }, { off: 12 });
      plot.edit({ ...DRAINED, id: 'a10' }, { off: 12 });
      plot.swap({ ...DRAINED, id: 'a10' }, { ...DRAINED, id: 'b5' });
    },
  ],
  [
    'a send after a delivery gets a lower offset than what was delivered',
    'real-time-order',
    (plot) => {
      plot.before({ type: 'fail', id: 'b6' }, (record) =>
        record.deliver(delivery('b5', 0, 11, { c: 'c9' })),
      );
      plot.before(HEAL, (record) => {
        record.sendInvoke({ id: 'late', p: 'p3', topic: TOPIC });
        record.sendInfo('late');
      });
      plot.edit({ ...DRAINED, id: 'a10' }, { c: 'd2' });
      plot.removeAll({ id: 'a10' });
      plot.before({ ...DRAINED, id: 'b5' }, (record) => {
        record.deliver(delivery('late', 0, 10, { c: 'd1', g: 'd', via: 'pull' }));
      });
    },
    { requirements: QUIET_RUN },
  ],
  [
    'a power loss takes a message and leaves a later one',
    'loss-not-suffix',
    (plot) => {
      plot.before(HEAL, (record) => record.fault('power', 'n', true));
      plot.removeAll({ f: 'deliver', id: 'b2' });
    },
    WITH_LOSS,
  ],
  [
    'a power loss takes a message that was older than the flush interval',
    'lost',
    (plot) => {
      plot.before(HEAL, (record) => record.fault('power', 'n', true));
      plot.removeAll({ f: 'deliver', id: 'a0' });
    },
    { ...WITH_LOSS, allowedLoss: { faultKinds: ['power'], windowUs: 20 } },
  ],
  [
    'a process crash takes a message, which only a power loss may',
    'lost',
    (plot) => {
      plot.removeAll({ f: 'deliver', id: 'a10' });
    },
    WITH_LOSS,
  ],
];

testPlanted(PLANTED, [
  'lost',
  'phantom',
  'aborted-read',
  'corrupt',
  'wrong-topic',
  'slot-conflict',
  'duplicated',
  'producer-order',
  'real-time-order',
  'loss-not-suffix',
]);
