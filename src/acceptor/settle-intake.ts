/** SETTLE frames: acks, nacks and extensions by ranges of one subscription of the connection. Main thread. */
import { SluiceError } from '../base/errors.ts';
import { LEASE_MS_MAX, LEASE_MS_MIN, NACK_DELAY_MS_MAX } from '../base/limits.ts';
import { viewOf } from '../protocol/web/binary-codec.ts';
import { SETTLE_ACK, SETTLE_DELAY_DEFAULT, SETTLE_NACK } from '../protocol/web/frames-layout.ts';
import {
  decodeSettleHeader,
  decodeSettleRange,
  decodeSettleReason,
  newSettleHeader,
  newSettleRange,
} from '../protocol/web/settle-codec.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import type { Intake } from './batch-intake.ts';
import { Responder } from './responder.ts';
import { queueNotFound } from './send-plan.ts';
import type { Session } from './session.ts';
import type { SettleRange } from './shard-requests.ts';

export class SettleIntake {
  private readonly core: AcceptorCore;
  private readonly header = newSettleHeader();
  private readonly range = newSettleRange();

  constructor(core: AcceptorCore) {
    this.core = core;
  }

  take(session: Session, frame: Uint8Array): Intake {
    const { core, header } = this;
    const view = viewOf(frame);
    const verdict = decodeSettleHeader(view, header);
    if (verdict !== 'ok') {
      const facts = { kind: 'SETTLE', verdict };
      const text = `the SETTLE frame is refused: ${verdict}`;
      return { refusal: new SluiceError('BAD_FRAME', text, { facts }), isBroken: true };
    }
    const { action, argument, correlationId, subscription: number } = header;
    const subscription = session.subscriptions.has(number)
      ? core.subscriptions.get(number)
      : undefined;
    if (subscription === undefined) {
      const text = `this connection has no subscription ${number}`;
      return { refusal: new SluiceError('SUBSCRIPTION_NOT_FOUND', text), isBroken: false };
    }
    const ranges = this.ranges(view);
    const wrong = ranges.find((range) => range.queueId >= subscription.topic.queues);
    const refusal =
      wrong === undefined
        ? argumentRefusal(action, argument)
        : queueNotFound(subscription.topic, wrong.queueId);
    if (refusal !== undefined) return { refusal, isBroken: false };
    const responder = new Responder(session, 'binary', correlationId, core.outbox, core.counters);
    if (!responder.begin()) return undefined;
    const settle = {
      groupId: subscription.group.groupId,
      topicId: subscription.topic.topicId,
      action,
      argument,
      reason: decodeSettleReason(frame, header),
    };
    core.settles.settleRanges(settle, ranges, (failure) => {
      if (correlationId === 0) responder.dismiss();
      else if (failure === undefined) responder.answer('ok');
      else responder.refuse(failure);
    });
    return undefined;
  }

  private ranges(view: DataView): SettleRange[] {
    const ranges: SettleRange[] = [];
    for (let index = 0; index < this.header.rangeCount; index += 1) {
      decodeSettleRange(view, index, this.range);
      ranges.push({ ...this.range });
    }
    return ranges;
  }
}

function argumentRefusal(action: number, argument: number): SluiceError | undefined {
  if (action === SETTLE_ACK) return undefined;
  const isNack = action === SETTLE_NACK;
  if (isNack && argument === SETTLE_DELAY_DEFAULT) return undefined;
  const [min, max] = isNack ? [0, NACK_DELAY_MS_MAX] : [LEASE_MS_MIN, LEASE_MS_MAX];
  if (argument >= min && argument <= max) return undefined;
  const what = isNack ? 'delay' : 'lease';
  const text = `the ${what} of ${argument} ms is not from ${min} to ${max}`;
  return new SluiceError('INVALID_ARGUMENT', text);
}
