/**
 * Deliveries as the client sees them: a DELIVER frame in a buffer that is used again, or the JSON of each message. Knows
 * formats and nothing of credit or connections.
 */
import { MIB } from '../base/units.ts';
import type { BatchReader } from '../protocol/batch/batch-reader.ts';
import { messageIdOf } from '../protocol/message-id.ts';
import {
  type DeliverHeader,
  encodeDeliverHeader,
  newDeliverHeader,
  selectionBytes,
  viewOf,
} from '../protocol/web/binary-codec.ts';
import { DELIVER_STORED_BATCH } from '../protocol/web/frames-layout.ts';
import { messageFieldsJson } from '../protocol/web/message-codec.ts';
import type { DeliveryEntry } from './delivery-entry.ts';
import { tokenOf, tokenPrefix } from './delivery-token.ts';
import type { Subscription } from './subscription.ts';

const SCRATCH_BYTES: number = MIB / 4;

export class MessageFrames {
  private readonly messageIdPrefix: () => string;
  private readonly header: DeliverHeader = newDeliverHeader();
  private scratch: Uint8Array = new Uint8Array(0);
  private view: DataView = viewOf(this.scratch);

  constructor(messageIdPrefix: () => string) {
    this.messageIdPrefix = messageIdPrefix;
  }

  /**
   * The DELIVER frame for the first `count` records of a delivery.
   *
   * @param selection - a bit for each of them; null: all, or the client knows which by their tags
   * @shape a view of a reused buffer, valid until the next call
   */
  binary(
    entry: DeliveryEntry,
    stored: Uint8Array,
    what: {
      readonly count: number;
      readonly leaseMs: number;
      readonly selection: Uint8Array | null;
    },
  ): Uint8Array {
    const { count, leaseMs, selection } = what;
    const storedEnd = DELIVER_STORED_BATCH + stored.length;
    const bytes = storedEnd + (selection === null ? 0 : selectionBytes(count));
    if (this.scratch.length < bytes) {
      this.scratch = new Uint8Array(Math.max(SCRATCH_BYTES, 2 ** Math.ceil(Math.log2(bytes))));
      this.view = viewOf(this.scratch);
    }
    const { header } = this;
    header.queueId = entry.queueId;
    header.subscription = entry.subscription;
    header.baseQueueOffset = entry.baseOffset;
    header.firstIndex = entry.firstIndex;
    header.count = count;
    header.attempt = entry.attempt;
    header.shard = entry.shard;
    header.leaseId = entry.leaseId;
    header.leaseMs = leaseMs;
    header.topicId = entry.topicId;
    header.hasSelection = selection !== null;
    encodeDeliverHeader(this.view, header);
    this.scratch.set(stored, DELIVER_STORED_BATCH);
    if (selection !== null)
      this.scratch.set(selection.subarray(0, selectionBytes(count)), storedEnd);
    return this.scratch.subarray(0, bytes);
  }

  /** The fields of the reader's current record as a delivered message, without braces. */
  json(
    subscription: Subscription,
    entry: DeliveryEntry,
    record: BatchReader,
    storedAt: number,
  ): string {
    const queueOffset = entry.baseOffset + record.index;
    const place = {
      topic: subscription.topic.topic,
      queueId: entry.queueId,
      queueOffset,
      messageId: messageIdOf(this.messageIdPrefix(), entry.shard, entry.position, record.index),
      storedAt,
    };
    const prefix = tokenPrefix(subscription.group.groupId, entry.topicId, entry.queueId);
    const token = tokenOf(prefix, queueOffset, entry.leaseId);
    const fence = subscription.ordered ? `,"fence":${entry.leaseId}` : '';
    return `${messageFieldsJson(place, record)},"attempt":${entry.attempt},"token":"${token}"${fence}`;
  }
}
