/**
 * The answers of one send's batches, put back into the order of its messages. Done when every batch is answered; when one
 * failed the send failed, and what is said about storing covers the whole of it.
 */
import { invariant } from '../base/assert.ts';
import { getU64 } from '../base/bytes.ts';
import type { ErrorBody, SluiceError } from '../base/errors.ts';
import * as layout from '../protocol/envelope-layout.ts';
import { messageIdOf } from '../protocol/message-id.ts';
import type { Durability, WireReceipt } from '../protocol/web/messages.ts';
import type { AcceptorCounters } from './acceptor-counters.ts';
import type { Waiter } from './pending-requests.ts';
import { refusalBody } from './responder.ts';
import type { PlannedBatch } from './send-plan.ts';

type Outcome = { readonly receipts: readonly WireReceipt[] } | { readonly refusal: ErrorBody };

/** The name of a durability number of envelope-layout.ts. */
export function durabilityName(number: number): Durability {
  if (number === layout.DURABILITY_REPLICATED) return 'replicated';
  return number === layout.DURABILITY_DISK ? 'disk' : 'memory';
}

export class SendGather {
  private readonly receipts: (WireReceipt | undefined)[];
  private readonly counters: AcceptorCounters;
  private readonly done: (outcome: Outcome) => void;
  private unanswered: number;
  private storedCount = 0;
  private failure: SluiceError | undefined;
  private isDoubtful = false;

  constructor(
    messageCount: number,
    batchCount: number,
    counters: AcceptorCounters,
    done: (outcome: Outcome) => void,
  ) {
    this.receipts = new Array<WireReceipt | undefined>(messageCount).fill(undefined);
    this.unanswered = batchCount;
    this.counters = counters;
    this.done = done;
  }

  waiterOf(batch: PlannedBatch, shard: number, messageIdPrefix: string, isHalf = false): Waiter {
    return {
      replied: (type, _bytes, view, at) => {
        invariant(type === layout.REPLY_PRODUCED, 'a batch is answered by PRODUCED', type);
        this.stored(batch, shard, messageIdPrefix, isHalf, view, at);
      },
      failed: (error) => this.failed(error),
    };
  }

  private stored(
    batch: PlannedBatch,
    shard: number,
    prefix: string,
    isHalf: boolean,
    view: DataView,
    at: number,
  ): void {
    const baseOffset = getU64(view, at + layout.PRODUCED_BASE_OFFSET);
    const position = getU64(view, at + layout.PRODUCED_POSITION);
    const isKnown = baseOffset !== layout.OFFSET_UNKNOWN;
    const isDeferred =
      (view.getUint8(at + layout.PRODUCED_FLAGS) & layout.PRODUCED_FLAG_DEFERRED) !== 0;
    const time = { deliverAt: isKnown ? baseOffset : null };
    const later = isHalf ? { half: true as const } : isDeferred ? time : {};
    const durability = durabilityName(view.getUint8(at + layout.PRODUCED_DURABILITY));
    const flags = view.getUint8(at + layout.PRODUCED_FLAGS);
    for (const [place, index] of batch.indices.entries()) {
      this.receipts[index] = {
        queueId: batch.queueId,
        queueOffset: isKnown && !isDeferred ? baseOffset + place : -1,
        messageId: isKnown || isDeferred ? messageIdOf(prefix, shard, position, place) : '',
        durability,
        duplicate: (flags & layout.PRODUCED_FLAG_DUPLICATE) !== 0,
        ...later,
      };
    }
    this.counters.batchesStored += 1;
    this.storedCount += batch.indices.length;
    this.answered();
  }

  private failed(error: SluiceError): void {
    this.failure ??= error;
    if (error.stored === 'unknown') this.isDoubtful = true;
    this.answered();
  }

  private answered(): void {
    this.unanswered -= 1;
    if (this.unanswered > 0) return;
    if (this.failure === undefined) {
      this.done({ receipts: this.receipts as WireReceipt[] });
      return;
    }
    const body = refusalBody(
      this.failure,
      this.isDoubtful || this.storedCount > 0 ? 'unknown' : false,
    );
    if (this.storedCount === 0) {
      this.done({ refusal: body });
      return;
    }
    const message = `${body.message}; ${this.storedCount} of the ${this.receipts.length} messages were stored`;
    this.done({
      refusal: { ...body, message, facts: { ...body.facts, storedCount: this.storedCount } },
    });
  }
}
