/** Binary frames as a client would make them, for tests. */
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import { BODY_TEXT } from '../protocol/batch/batch-layout.ts';
import { encodeSendBatchHeader, sendBatchAt, viewOf } from '../protocol/web/binary-codec.ts';
import type { Deferral } from '../protocol/web/checked-requests.ts';
import {
  encodeSettleHeader,
  encodeSettleRange,
  settleBytes,
} from '../protocol/web/settle-codec.ts';
import type { Delivered } from './fake-connection.ts';

const BATCH_BYTES = 64 * 1024;

export type BatchMessage = { readonly body: string; readonly tag?: string; readonly key?: string };

/** A SEND_BATCH frame of text messages. */
export function sendBatchFrame(options: {
  readonly topicId: number;
  readonly queueId?: number;
  readonly correlationId: number;
  readonly messages: readonly (string | BatchMessage)[];
  readonly producer?: { readonly id: string; readonly sequence: number };
  readonly deferral?: Deferral;
}): Uint8Array {
  const { deferral } = options;
  const headBytes = sendBatchAt(deferral);
  const builder = new BatchBuilder(BATCH_BYTES, options.producer?.id ?? '', headBytes);
  for (const message of options.messages) {
    const fields = typeof message === 'string' ? { body: message } : message;
    const record: RecordInput = { ...fields, bodyKind: BODY_TEXT };
    builder.append(record, recordBytes(record), 4 * 1024 * 1024, 1000);
  }
  const frame = builder.finish(options.producer?.sequence ?? 0, 0).slice();
  encodeSendBatchHeader(
    viewOf(frame),
    options.queueId ?? 0,
    options.correlationId,
    options.topicId,
    deferral,
  );
  return frame;
}

export type FrameRange = {
  readonly queueId: number;
  readonly queueOffset: number;
  readonly count: number;
  readonly leaseId: number;
};

/** A SETTLE frame. */
export function settleFrame(options: {
  readonly action: number;
  readonly subscription: number;
  readonly correlationId: number;
  readonly argument?: number;
  readonly ranges: readonly FrameRange[];
  readonly reason?: string;
}): Uint8Array {
  const reason = new TextEncoder().encode(options.reason ?? '');
  const rangesEnd = settleBytes(options.ranges.length);
  const frame = new Uint8Array(rangesEnd + reason.length);
  const view = viewOf(frame);
  encodeSettleHeader(view, {
    action: options.action,
    rangeCount: options.ranges.length,
    correlationId: options.correlationId,
    subscription: options.subscription,
    argument: options.argument ?? 0,
    reasonBytes: reason.length,
  });
  for (const [index, range] of options.ranges.entries())
    encodeSettleRange(view, index, range.queueId, range.queueOffset, range.count, range.leaseId);
  frame.set(reason, rangesEnd);
  return frame;
}

/** The range that settles all of a delivery. */
export function rangeOfDelivery(delivered: Delivered): FrameRange {
  return {
    queueId: delivered.queueId,
    queueOffset: delivered.baseQueueOffset + delivered.firstIndex,
    count: delivered.count,
    leaseId: delivered.leaseId,
  };
}
