/** The rate limits of a connection, held against the sends of RocketMQ's clients. */
import { isLimited, type SendLimits, SendRate } from '../acceptor/send-rate.ts';
import type { SluiceError } from '../base/errors.ts';
import { BatchBody } from '../protocol/remoting/batch-body.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import type { RemotingRequest } from './remoting-request.ts';
import { isBatchSend } from './send-head.ts';

const SENDS: ReadonlySet<number> = new Set([
  REQUEST_CODES.SEND_MESSAGE,
  REQUEST_CODES.SEND_MESSAGE_V2,
  REQUEST_CODES.SEND_BATCH_MESSAGE,
  REQUEST_CODES.SEND_REPLY_MESSAGE,
  REQUEST_CODES.SEND_REPLY_MESSAGE_V2,
]);

export class SendLimit {
  private readonly rate: SendRate;
  private readonly batch = new BatchBody();

  private constructor(limits: SendLimits, nowMs: number) {
    this.rate = new SendRate(limits, nowMs);
  }

  /** @returns undefined when nothing is limited: then nothing is asked, either */
  static of(limits: SendLimits, nowMs: number): SendLimit | undefined {
    return isLimited(limits) ? new SendLimit(limits, nowMs) : undefined;
  }

  /**
   * Takes a send from the limits; any other request is none of theirs.
   *
   * @param bytes - of its frame
   * @returns RATE_LIMITED when it comes too early
   */
  refusal(request: RemotingRequest, bytes: number, nowMs: number): SluiceError | undefined {
    if (!SENDS.has(request.code)) return undefined;
    return this.rate.refusal(this.messagesOf(request), bytes, nowMs);
  }

  /** A body that is no batch counts as far as it is one; its handler refuses it. */
  private messagesOf({ code, fields, body }: RemotingRequest): number {
    if (!isBatchSend(code, fields)) return 1;
    let count = 0;
    this.batch.open(body);
    while (this.batch.next()) count += 1;
    return Math.max(1, count);
  }
}
