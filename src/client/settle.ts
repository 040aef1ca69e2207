/**
 * Acks, nacks and lease extensions of one subscription on one connection: gathered for a millisecond, contiguous ones
 * merged into ranges, sent as SETTLE frames. All that travels together shares one ticket; a promise is made only when
 * somebody awaits it. Browser-safe.
 */
import type { CancelTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { viewOf } from '../protocol/web/binary-codec.ts';
import {
  SETTLE_ACK,
  SETTLE_DELAY_DEFAULT,
  SETTLE_EXTEND,
  SETTLE_NACK,
  SETTLE_RANGES_MAX,
  SETTLE_REASON_BYTES_MAX,
  type SettleAction,
} from '../protocol/web/frames-layout.ts';
import {
  encodeSettleHeader,
  encodeSettleRange,
  type SettleRange,
  settleBytes,
} from '../protocol/web/settle-codec.ts';
import type { Connection, Pending } from './connection.ts';
import { REFUSED_POLICY, retryDelayMs } from './retry-policy.ts';
import type { ClientRuntime } from './runtime.ts';

/** Ranges that are sent without waiting for more. */
const RANGES_FLUSH = 512;

/**
 * What became of a settlement: await it, or leave it. Many messages that were settled in the same millisecond share one.
 *
 * @promise resolves when the settlement is durable with the broker
 * @throws LEASE_EXPIRED: of the messages settled together at least one had lost its lease; the others are settled.
 *   DISCONNECTED: the connection was lost before the answer; what was not settled is delivered again
 */
export class Settlement implements PromiseLike<undefined> {
  #state: 'open' | 'done' | 'failed' = 'open';
  #error: unknown;
  #promise: Promise<undefined> | undefined;
  #settle: { resolve: (value: undefined) => void; reject: (error: unknown) => void } | undefined;

  // biome-ignore lint/suspicious/noThenProperty: being awaitable without a promise per message is its purpose
  then<Done = undefined, Failed = never>(
    onDone?: ((value: undefined) => Done | PromiseLike<Done>) | null,
    onFailed?: ((error: unknown) => Failed | PromiseLike<Failed>) | null,
  ): Promise<Done | Failed> {
    return this.#asPromise().then(onDone, onFailed);
  }

  /** Has anybody asked? @internal */
  get isAwaited(): boolean {
    return this.#promise !== undefined;
  }

  /** @internal */
  finish(): void {
    if (this.#state !== 'open') return;
    this.#state = 'done';
    this.#settle?.resolve(undefined);
  }

  /** @internal */
  fail(error: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'failed';
    this.#error = error;
    this.#settle?.reject(error);
  }

  #asPromise(): Promise<undefined> {
    this.#promise ??= new Promise((resolve, reject) => {
      if (this.#state === 'done') resolve(undefined);
      else if (this.#state === 'failed') reject(this.#error);
      else this.#settle = { resolve, reject };
    });
    return this.#promise;
  }
}

/** What travels in one SETTLE frame. */
type Group = {
  readonly action: SettleAction;
  readonly argument: number;
  readonly reason: string;
  readonly ranges: SettleRange[];
  /** The range that was extended last: most settlements continue it. */
  last: SettleRange | undefined;
  readonly lastOfQueue: Map<number, SettleRange>;
  readonly settlement: Settlement;
};

export type SettleTarget = {
  readonly runtime: ClientRuntime;
  readonly connection: Connection;
  readonly subscription: number;
  readonly lingerMs: number;
  /** A settlement failed that nobody awaits. */
  readonly onFailure: (error: SluiceError) => void;
};

export class SettleCollector {
  private readonly target: SettleTarget;
  private acks: Group | undefined;
  private readonly others = new Map<string, Group>();
  private readonly unanswered = new Set<Settlement>();
  private cancelLinger: CancelTimer | undefined;
  private isOver = false;
  private readonly encoder = new TextEncoder();

  constructor(target: SettleTarget) {
    this.target = target;
  }

  ack(queueId: number, queueOffset: number, count: number, leaseId: number): Settlement {
    if (this.isOver) return expiredSettlement();
    this.acks ??= this.open(SETTLE_ACK, 0, '');
    const group = this.acks;
    this.add(group, queueId, queueOffset, count, leaseId);
    return group.settlement;
  }

  nack(
    range: Readonly<SettleRange>,
    delayMs: number | undefined,
    reason: string | undefined,
  ): Settlement {
    const argument = delayMs === undefined ? SETTLE_DELAY_DEFAULT : Math.round(delayMs);
    return this.other(SETTLE_NACK, argument, reason ?? '', range);
  }

  extend(range: Readonly<SettleRange>, leaseMs: number): Settlement {
    return this.other(SETTLE_EXTEND, Math.round(leaseMs), '', range);
  }

  /** Sends what is gathered. */
  flush(): void {
    this.cancelLinger?.();
    this.cancelLinger = undefined;
    const groups = [...this.others.values()];
    if (this.acks !== undefined) groups.unshift(this.acks);
    this.acks = undefined;
    this.others.clear();
    for (const group of groups) this.send(group);
  }

  /** Sends what is gathered, and resolves when everything is answered, well or not. */
  async settled(): Promise<void> {
    this.flush();
    await Promise.allSettled([...this.unanswered].map((settlement) => settlement.then()));
  }

  /** The connection is gone, and with it the subscription and its leases. */
  end(error: SluiceError): void {
    if (this.isOver) return;
    this.isOver = true;
    this.cancelLinger?.();
    const open = [...this.unanswered];
    this.unanswered.clear();
    if (this.acks !== undefined) open.push(this.acks.settlement);
    for (const group of this.others.values()) open.push(group.settlement);
    this.acks = undefined;
    this.others.clear();
    for (const settlement of open) settlement.fail(error);
  }

  private other(
    action: SettleAction,
    argument: number,
    reason: string,
    range: Readonly<SettleRange>,
  ): Settlement {
    if (this.isOver) return expiredSettlement();
    const name = `${action} ${argument} ${reason}`;
    let group = this.others.get(name);
    if (group === undefined) {
      group = this.open(action, argument, reason);
      this.others.set(name, group);
    }
    this.add(group, range.queueId, range.queueOffset, range.count, range.leaseId);
    return group.settlement;
  }

  private open(action: SettleAction, argument: number, reason: string): Group {
    this.cancelLinger ??= this.target.runtime.startTimer(this.target.lingerMs, () => this.flush());
    return {
      action,
      argument,
      reason,
      ranges: [],
      last: undefined,
      lastOfQueue: new Map(),
      settlement: new Settlement(),
    };
  }

  private add(
    group: Group,
    queueId: number,
    queueOffset: number,
    count: number,
    leaseId: number,
  ): void {
    const { last } = group;
    const range = last?.queueId === queueId ? last : group.lastOfQueue.get(queueId);
    if (range !== undefined && range.leaseId === leaseId) {
      const follows = range.queueOffset + range.count === queueOffset;
      if (follows || queueOffset + count === range.queueOffset) {
        if (!follows) range.queueOffset = queueOffset;
        range.count += count;
        group.last = range;
        return;
      }
    }
    const added = { queueId, queueOffset, count, leaseId };
    group.ranges.push(added);
    group.last = added;
    group.lastOfQueue.set(queueId, added);
    if (group.ranges.length >= RANGES_FLUSH) this.flush();
  }

  private send(group: Group): void {
    const { connection, subscription, runtime, onFailure } = this.target;
    const { action, argument, ranges, settlement } = group;
    const reason = this.encodeReason(group.reason);
    const frame = new Uint8Array(settleBytes(ranges.length) + reason.length);
    const view = viewOf(frame);
    frame.set(reason, settleBytes(ranges.length));
    ranges.forEach((range, index) => {
      const { queueId, queueOffset, count, leaseId } = range;
      encodeSettleRange(view, index, queueId, queueOffset, count, leaseId);
    });
    let failures = 0;
    const failed = (error: SluiceError): void => {
      this.unanswered.delete(settlement);
      if (!settlement.isAwaited) onFailure(error);
      settlement.fail(error);
    };
    const trySend = (): void => {
      if (this.isOver) return;
      const correlationId = connection.expect(pending);
      const rangeCount = ranges.length;
      encodeSettleHeader(view, {
        action,
        rangeCount,
        correlationId,
        subscription,
        argument,
        reasonBytes: reason.length,
      });
      // Frames are small; an own copy per try keeps the bytes of an earlier one as they were.
      connection.sendFrame(failures === 0 ? frame : frame.slice());
    };
    const pending: Pending = {
      receipt: () => {},
      answer: () => {
        this.unanswered.delete(settlement);
        settlement.finish();
      },
      refuse: (error) => {
        failures += 1;
        if (!error.retryable) failed(error);
        else
          runtime.startTimer(
            error.retryAfterMs ?? retryDelayMs(REFUSED_POLICY, failures, runtime.prng),
            trySend,
          );
      },
      lost: () => {},
    };
    this.unanswered.add(settlement);
    trySend();
  }

  private encodeReason(reason: string): Uint8Array {
    const bytes = this.encoder.encode(reason);
    return bytes.length <= SETTLE_REASON_BYTES_MAX
      ? bytes
      : bytes.subarray(0, SETTLE_REASON_BYTES_MAX);
  }
}

if (RANGES_FLUSH > SETTLE_RANGES_MAX) throw new Error('settle: a frame must hold what is flushed');

/** A settlement that comes after its connection: the lease went with it. */
function expiredSettlement(): Settlement {
  const settlement = new Settlement();
  settlement.fail(
    new SluiceError(
      'LEASE_EXPIRED',
      'the connection that delivered the message is gone: it is delivered again',
    ),
  );
  return settlement;
}
