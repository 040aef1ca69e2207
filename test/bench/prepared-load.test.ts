import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { SluiceError } from '../../src/base/errors.ts';
import { seededPrng } from '../../src/base/prng.ts';
import type { LoadPlan } from '../../src/bench/load.ts';
import { MessageLedger } from '../../src/bench/message-ledger.ts';
import { newThreadedLoad } from '../../src/bench/new-load.ts';
import { PreparedLoad } from '../../src/bench/prepared-load.ts';
import { BatchReader } from '../../src/protocol/batch/batch-reader.ts';
import {
  decodeSendBatchHeader,
  encodeReceipt,
  encodeReceiptsHeader,
  newReceiptEntry,
  newSendBatchHeader,
  receiptsBytes,
  viewOf,
} from '../../src/protocol/web/binary-codec.ts';
import { encodeControl } from '../../src/protocol/web/control-codec.ts';
import { SEND_BATCH } from '../../src/protocol/web/frames-layout.ts';
import { EchoHandler, openTestDoor, until } from '../../src/testing/front-door-fixture.ts';
import type { FrontDoor, WebSocketConnection } from '../../src/transport/transport.ts';

const RECORDS = 4;

/** A broker that keeps nothing but the rule of sequences, and refuses by chance. */
class PickyBroker extends EchoHandler {
  /** Next sequence of each producer and queue. */
  readonly expected = new Map<string, number>();
  stored = 0;
  refusalChance = 0;
  refusalCode: 'BUSY' | 'STORAGE_FULL' | 'INVALID_ARGUMENT' = 'BUSY';
  private readonly header = newSendBatchHeader();
  private readonly reader = new BatchReader();
  private readonly prng = seededPrng(11);

  override binary(connection: WebSocketConnection, bytes: Uint8Array): void {
    const view = viewOf(bytes);
    assert.equal(decodeSendBatchHeader(view, this.header), 'ok');
    const { correlationId, queueId, topicId } = this.header;
    this.reader.open(bytes, view, SEND_BATCH);
    const { producerId, sequence } = this.reader;
    const key = `${producerId}/${topicId}/${queueId}`;
    const expected = this.expected.get(key) ?? sequence;
    if (this.prng.chance(this.refusalChance)) {
      const refusal = new SluiceError(this.refusalCode, 'by chance', { retryAfterMs: 1 });
      connection.sendBinary(encodeControl({ op: 'error', id: correlationId, ...refusal.toBody() }));
    } else if (sequence > expected) {
      const refusal = new SluiceError('SEQUENCE_GAP', `${sequence} after ${expected}`);
      connection.sendBinary(encodeControl({ op: 'error', id: correlationId, ...refusal.toBody() }));
    } else {
      const isDuplicate = sequence < expected;
      if (!isDuplicate) {
        this.expected.set(key, sequence + RECORDS);
        this.stored += RECORDS;
      }
      connection.sendBinary(receiptFrame(correlationId, isDuplicate));
    }
  }
}

function receiptFrame(correlationId: number, duplicate: boolean): Uint8Array {
  const frame = new Uint8Array(receiptsBytes(1));
  const view = viewOf(frame);
  encodeReceiptsHeader(view, 1);
  const entry = { ...newReceiptEntry(), correlationId, duplicate };
  encodeReceipt(view, 0, { ...entry, durability: 2, recordCount: RECORDS });
  return frame;
}

function planFor(door: FrontDoor, changes: Partial<LoadPlan> = {}): LoadPlan {
  return {
    kind: 'prepared',
    url: `ws://127.0.0.1:${door.port}/v1/ws`,
    token: undefined,
    topics: [{ topic: 'bench', topicId: 5, queues: 3 }],
    runId: 'bench-test',
    producers: [0, 1],
    producersInAll: 2,
    bodyBytes: 32,
    batchBytes: 1024,
    recordsPerBatch: RECORDS,
    window: 8,
    ratePerSecond: undefined,
    seed: 1,
    ...changes,
  };
}

async function withBroker(
  test: (broker: PickyBroker, door: FrontDoor) => Promise<void>,
): Promise<void> {
  const broker = new PickyBroker();
  const { door } = await openTestDoor('ws', { webSocket: broker });
  try {
    await test(broker, door);
  } finally {
    await door.close();
  }
}

function ackedOf(parts: Parameters<MessageLedger['merge']>[0][]): number {
  const ledger = new MessageLedger(2, RECORDS);
  for (const part of parts) ledger.merge(part);
  return ledger.report().acked;
}

describe('the prepared load', () => {
  it('sends what it was asked for, to every queue, and knows what was acknowledged', () =>
    withBroker(async (broker, door) => {
      const load = new PreparedLoad(planFor(door), systemClock);
      await load.open();
      assert.equal(broker.expected.size, 3, 'a batch opened every queue');
      await load.fill(2000);
      const outcome = await load.stop();
      await load.close();
      assert.equal(outcome.messages, 2000);
      assert.equal(broker.stored, 2000);
      assert.equal(ackedOf([...outcome.acked]), 2000);
    }));

  it('sends again what was refused for the moment, in the order of its sequences', () =>
    withBroker(async (broker, door) => {
      const load = new PreparedLoad(planFor(door), systemClock);
      broker.refusalChance = 0.1;
      await load.open();
      await load.fill(4000);
      const outcome = await load.stop();
      await load.close();
      assert.ok(outcome.refusals > 0);
      assert.equal(outcome.duplicateAnswers, 0);
      assert.equal(broker.stored, 4000);
      assert.equal(ackedOf([...outcome.acked]), 4000);
    }));

  it('ends with the refusal when sending again cannot help', () =>
    withBroker(async (broker, door) => {
      const load = new PreparedLoad(planFor(door), systemClock);
      await load.open();
      broker.refusalChance = 1;
      broker.refusalCode = 'INVALID_ARGUMENT';
      await assert.rejects(load.fill(4000), { code: 'INVALID_ARGUMENT' });
      await load.close();
    }));

  it('ends when the connection does', () =>
    withBroker(async (broker, door) => {
      const load = new PreparedLoad(planFor(door), systemClock);
      await load.open();
      for (const connection of broker.connections) connection.close(1001, 'going away');
      await assert.rejects(load.fill(1_000_000), { code: 'DISCONNECTED' });
      await load.close();
    }));

  it('keeps a rate, and measures from the planned times', () =>
    withBroker(async (_broker, door) => {
      const load = new PreparedLoad(planFor(door, { ratePerSecond: 4000 }), systemClock);
      await load.open();
      await load.measure(true);
      const startMs = systemClock.monotonicMs();
      await load.begin();
      let messages = 0;
      while (messages < 1000) {
        messages = (await load.measure(true)).messages;
        await new Promise((resolve) => setImmediate(resolve));
      }
      const seconds = (systemClock.monotonicMs() - startMs) / 1000;
      const outcome = await load.stop();
      await load.close();
      assert.ok(messages / seconds < 4400, `${messages} messages in ${seconds} s`);
      // Those of the opening have no planned time.
      assert.equal(outcome.latency.count, outcome.messages - 3 * RECORDS);
    }));

  it('runs in threads as it does here', () =>
    withBroker(async (broker, door) => {
      const load = newThreadedLoad(planFor(door), 2, systemClock);
      await load.open();
      await load.begin();
      await load.measure(true);
      await until(() => broker.stored > 5000);
      const outcome = await load.stop();
      await load.close();
      assert.equal(ackedOf([...outcome.acked]), broker.stored);
      assert.equal(outcome.messages, broker.stored);
      assert.ok(outcome.latency.count > 0);
    }));
});
