/**
 * SEND_BATCH frames: from the frame into the ring of the shard with one copy, and only the checks that routing and the
 * connection's limits need. The batch itself is the shard's to judge. Main thread, once per frame.
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { BODY_BYTES_MAX } from '../base/limits.ts';
import { BATCH_RECORD_COUNT } from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { decodeSendBatchHeader, newSendBatchHeader, viewOf } from '../protocol/web/binary-codec.ts';
import type { Deferral } from '../protocol/web/checked-requests.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import { NOT_DEFERRED } from './delays.ts';
import { busy } from './send-path.ts';
import { bodyTooLarge, queueNotFound } from './send-plan.ts';
import type { Session } from './session.ts';

/** What became of a frame: handed over, or the refusal; `broken` frames count against the connection. */
export type Intake = { readonly refusal: SluiceError; readonly isBroken: boolean } | undefined;

export class BatchIntake {
  private readonly core: AcceptorCore;
  private readonly header = newSendBatchHeader();
  private readonly reader = new BatchReader();

  constructor(core: AcceptorCore) {
    this.core = core;
  }

  take(session: Session, frame: Uint8Array): Intake {
    const view = viewOf(frame);
    const verdict = decodeSendBatchHeader(view, this.header);
    if (verdict !== 'ok') {
      const facts = { kind: 'SEND_BATCH', verdict };
      const text = `the SEND_BATCH frame is refused: ${verdict}`;
      return { refusal: new SluiceError('BAD_FRAME', text, { facts }), isBroken: true };
    }
    const refusal = this.refusalOf(session, view) ?? this.handOver(session, frame);
    return refusal === undefined ? undefined : { refusal, isBroken: false };
  }

  private refusalOf(session: Session, view: DataView): SluiceError | undefined {
    const { core, header } = this;
    if (core.isDraining) return new SluiceError('DRAINING');
    const topic = core.topics.get(header.topicId);
    if (topic === undefined) {
      return new SluiceError('TOPIC_NOT_FOUND', `there is no topic with the id ${header.topicId}`, {
        hint: 'Ask for the topic with the op "topic": it gives its id, and creates it where allowed.',
      });
    }
    if (header.queueId >= topic.queues) return queueNotFound(topic, header.queueId);
    if (session.batches.has(header.correlationId)) {
      const text = `the batch with the correlation id ${header.correlationId} is still unanswered`;
      const hint = 'Use an id again only after its receipt.';
      return new SluiceError('INVALID_ARGUMENT', text, { hint });
    }
    const recordCount = view.getUint32(header.batchAt + BATCH_RECORD_COUNT, true);
    return (
      session.windowRefusal() ??
      this.sizeRefusal(view) ??
      session.checkRate(recordCount, view.byteLength)
    );
  }

  private sizeRefusal(view: DataView): SluiceError | undefined {
    const { core, header } = this;
    const link = core.links.ofQueue(header.topicId, header.queueId);
    const batchBytes = view.byteLength - header.batchAt;
    if (batchBytes > link.batchBytesMax) {
      const text = `the batch has ${batchBytes} bytes; this broker takes ${link.batchBytesMax}`;
      return new SluiceError('MESSAGE_TOO_LARGE', text);
    }
    const { bodyBytesMax } = core.config;
    // Only where the limit is lower than the shard's own, and only where a body can be as large.
    if (bodyBytesMax >= BODY_BYTES_MAX || batchBytes <= bodyBytesMax) return undefined;
    const largest = this.largestBody(view);
    return largest > bodyBytesMax ? bodyTooLarge(largest, bodyBytesMax) : undefined;
  }

  /** Steps through records that nobody has checked yet: one that lies about its length ends the search. */
  private largestBody(view: DataView): number {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    let largest = 0;
    try {
      this.reader.open(bytes, view, this.header.batchAt);
      while (this.reader.next()) largest = Math.max(largest, this.reader.body.length);
    } catch {
      // The shard refuses it for what is wrong with it.
    }
    return largest;
  }

  private handOver(session: Session, frame: Uint8Array): SluiceError | undefined {
    const { core } = this;
    const { correlationId, topicId, queueId, delayMs, deliverAt, batchAt } = this.header;
    const link = core.links.ofQueue(topicId, queueId);
    if (!link.isRunning) return link.refusal();
    let dueAtMs = NOT_DEFERRED;
    if (delayMs >= 0 || deliverAt >= 0) {
      const due = this.dueAt(delayMs >= 0 ? { delayMs } : { deliverAt });
      if (due instanceof SluiceError) return due;
      dueAtMs = due;
    }
    const { number } = session;
    const isTaken =
      dueAtMs === NOT_DEFERRED
        ? link.produce(number, correlationId, topicId, queueId, frame, batchAt)
        : link.defer(number, correlationId, { topicId, queueId }, { dueAtMs }, frame, batchAt);
    if (!isTaken) {
      core.backPressure.ringFull(session, link);
      return busy(link);
    }
    session.batches.set(correlationId, link.shard);
    session.inFlight += 1;
    core.counters.batchesIn += 1;
    core.backPressure.afterRequest(session, link);
    return undefined;
  }

  private dueAt(deferral: Deferral): number | SluiceError {
    try {
      return this.core.delays.dueAtMs(deferral);
    } catch (error) {
      return toSluiceError(error);
    }
  }
}
