/**
 * Bytes of the requests to shards: values into a record, in the ring itself or in a buffer that waits for space in it.
 * What is where is protocol/envelope-layout.ts's to say.
 */
import { setU64 } from '../base/bytes.ts';
import * as layout from '../protocol/envelope-layout.ts';

/** Writes one record's payload at `at`. */
export type RecordWriter = (bytes: Uint8Array, view: DataView, at: number) => void;

/** Messages of one queue and lease, next to each other. */
export type SettleRange = {
  readonly queueId: number;
  readonly queueOffset: number;
  count: number;
  readonly leaseId: number;
};

export type SettleRequest = {
  readonly session: number;
  /** 0: no answer. */
  readonly correlation: number;
  readonly groupId: number;
  readonly topicId: number;
  readonly action: number;
  readonly argument: number;
  readonly ranges: readonly SettleRange[];
  /** A nack's reason in UTF-8. */
  readonly reason: Uint8Array;
};

export function settleRequestBytes(request: SettleRequest): number {
  return (
    layout.SETTLE_RANGES + request.ranges.length * layout.SETTLE_RANGE_BYTES + request.reason.length
  );
}

export function settleWriter(request: SettleRequest): RecordWriter {
  return (bytes, view, at) => {
    view.setUint32(at + layout.SETTLE_SESSION, request.session, true);
    view.setUint32(at + layout.SETTLE_CORRELATION, request.correlation, true);
    view.setUint32(at + layout.SETTLE_GROUP_ID, request.groupId, true);
    view.setUint32(at + layout.SETTLE_TOPIC_ID, request.topicId, true);
    view.setUint32(at + layout.SETTLE_ACTION, request.action, true);
    view.setUint32(at + layout.SETTLE_ARGUMENT, request.argument, true);
    view.setUint32(at + layout.SETTLE_RANGE_COUNT, request.ranges.length, true);
    view.setUint32(at + layout.SETTLE_REASON_BYTES, request.reason.length, true);
    let rangeAt = at + layout.SETTLE_RANGES;
    for (const range of request.ranges) {
      view.setUint32(rangeAt + layout.SETTLE_RANGE_QUEUE_ID, range.queueId, true);
      view.setUint32(rangeAt + layout.SETTLE_RANGE_COUNT_AT, range.count, true);
      setU64(view, rangeAt + layout.SETTLE_RANGE_OFFSET, range.queueOffset);
      setU64(view, rangeAt + layout.SETTLE_RANGE_LEASE, range.leaseId);
      rangeAt += layout.SETTLE_RANGE_BYTES;
    }
    bytes.set(request.reason, rangeAt);
  };
}

export function flowWriter(subscription: number, action: number, credit: number): RecordWriter {
  return (_bytes, view, at) => {
    view.setUint32(at + layout.FLOW_SUBSCRIPTION, subscription, true);
    view.setUint32(at + layout.FLOW_ACTION, action, true);
    view.setUint32(at + layout.FLOW_CREDIT, credit, true);
    view.setUint32(at + layout.FLOW_CREDIT + 4, 0, true);
  };
}

export type FetchRequest = {
  readonly correlation: number;
  readonly topicId: number;
  readonly queueId: number;
  readonly offset: number;
  readonly messagesMax: number;
  readonly bytesMax: number;
  readonly waitMs: number;
};

export function fetchWriter(request: FetchRequest): RecordWriter {
  return (bytes, view, at) => {
    bytes.fill(0, at, at + layout.FETCH_BYTES);
    view.setUint32(at + layout.FETCH_CORRELATION, request.correlation, true);
    view.setUint32(at + layout.FETCH_TOPIC_ID, request.topicId, true);
    view.setUint16(at + layout.FETCH_QUEUE_ID, request.queueId, true);
    setU64(view, at + layout.FETCH_OFFSET, request.offset);
    view.setUint32(at + layout.FETCH_MESSAGES_MAX, request.messagesMax, true);
    view.setUint32(at + layout.FETCH_BYTES_MAX, request.bytesMax, true);
    view.setUint32(at + layout.FETCH_WAIT_MS, request.waitMs, true);
  };
}

export function controlWriter(correlation: number, json: Uint8Array): RecordWriter {
  return (bytes, view, at) => {
    view.setUint32(at + layout.CONTROL_SESSION, 0, true);
    view.setUint32(at + layout.CONTROL_CORRELATION, correlation, true);
    bytes.set(json, at + layout.CONTROL_JSON);
  };
}
