/** Answers leave when the commit position has passed them, and what they stored becomes visible. Shard thread, hot. */
import type { ConsumeQueue } from '../log/consume-queue.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import {
  type ControlResult,
  PENDING_CONTROL,
  PENDING_DEFERRED,
  PENDING_DEFERRED_DUPLICATE,
  PENDING_DUPLICATE,
  PENDING_NOTHING,
  PENDING_PRODUCED,
  PENDING_SETTLED,
  PENDING_SILENT,
  type ShardContext,
} from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';

/** Flags of the answer to a batch, by kind of reply. */
const PRODUCED_FLAGS: Readonly<Record<number, number>> = {
  [PENDING_DUPLICATE]: envelope.PRODUCED_FLAG_DUPLICATE,
  [PENDING_DEFERRED]: envelope.PRODUCED_FLAG_DEFERRED,
  [PENDING_DEFERRED_DUPLICATE]: envelope.PRODUCED_FLAG_DEFERRED | envelope.PRODUCED_FLAG_DUPLICATE,
};

type Reply = NonNullable<ReturnType<ShardContext['pending']['peek']>>;

export type ReplySender = {
  readonly context: ShardContext;
  /** Messages of this queue can be seen now. */
  readonly onVisible: (queue: ConsumeQueue) => void;
};

/** Sends all answers that may go; stops when a reply ring is full. @returns answers sent */
export function releaseReplies(sender: ReplySender): number {
  const { context } = sender;
  let sent = 0;
  const durability = durabilityOf(context);
  for (
    let reply = context.pending.peek(context.commit);
    reply !== undefined;
    reply = context.pending.peek(context.commit)
  ) {
    if (!sendReply(context.ports[reply.port], reply, durability)) return sent;
    if (reply.kind === PENDING_PRODUCED || reply.kind === PENDING_SILENT) show(sender, reply);
    context.pending.shift();
    sent += 1;
  }
  if (context.fenced !== undefined) sent += failTheRest(context);
  return sent;
}

/** What an ack of this shard means. */
function durabilityOf({ config, isBounded }: ShardContext): number {
  if (isBounded) return envelope.DURABILITY_REPLICATED;
  if (config.isVolatile || config.flushMode === 'ASYNC_FLUSH') return envelope.DURABILITY_MEMORY;
  return envelope.DURABILITY_DISK;
}

function show(sender: ReplySender, reply: Reply): void {
  const queue = reply.subject as ConsumeQueue;
  queue.visibleEnd = Math.max(queue.visibleEnd, reply.baseOffset + reply.count);
  sender.onVisible(queue);
}

function sendReply(port: ShardPort | undefined, reply: Reply, durability: number): boolean {
  if (port === undefined || isSilent(reply)) return true;
  const { session, correlation } = reply;
  if (reply.kind === PENDING_SETTLED)
    return correlation === 0 || port.settled(session, correlation);
  if (reply.kind === PENDING_CONTROL)
    return port.control(session, correlation, (reply.subject as ControlResult).result);
  return port.produced({
    session,
    correlation,
    queueId: (reply.subject as ConsumeQueue).queueId,
    durability,
    flags: PRODUCED_FLAGS[reply.kind] ?? 0,
    count: reply.count,
    baseOffset: reply.baseOffset,
    batchPosition: reply.batchPosition,
  });
}

/** The shard is fenced: what waits will never be confirmed, and its senders are told that the outcome is unknown. */
function failTheRest(context: ShardContext): number {
  const { fenced, pending } = context;
  if (fenced === undefined) return 0;
  let failed = 0;
  for (
    let reply = pending.peek(Number.POSITIVE_INFINITY);
    reply !== undefined;
    reply = pending.peek(Number.POSITIVE_INFINITY)
  ) {
    const request = requestOf(reply.kind);
    const port = context.ports[reply.port];
    const isTold =
      isSilent(reply) ||
      port?.failed(reply.session, reply.correlation, request, fenced.code, fenced.text);
    if (isTold === false) return failed;
    pending.shift();
    failed += 1;
  }
  return failed;
}

function isSilent({ kind }: Reply): boolean {
  return kind === PENDING_SILENT || kind === PENDING_NOTHING;
}

/**
 * Tells the senders of everything up to `position` that the outcome is unknown: no slave has confirmed it in time. What they
 * stored stays, and becomes visible when a slave has it. Stops when a reply ring is full.
 *
 * @returns true when all were told
 */
export function timeOutReplies(context: ShardContext, position: number): boolean {
  const { pending } = context;
  const text = `no slave has confirmed position ${position}, which is on this disk`;
  for (let index = 0; index < pending.length; index += 1) {
    const reply = pending.at(index);
    if (reply.position > position) return true;
    if (isSilent(reply)) continue;
    const port = context.ports[reply.port];
    const { session, correlation } = reply;
    const isTold =
      (reply.kind === PENDING_SETTLED && correlation === 0) ||
      port?.failed(session, correlation, requestOf(reply.kind), 'FLUSH_SLAVE_TIMEOUT', text);
    if (isTold === false) return false;
    if (reply.kind !== PENDING_PRODUCED) reply.subject = undefined;
    reply.kind = reply.kind === PENDING_PRODUCED ? PENDING_SILENT : PENDING_NOTHING;
  }
  return true;
}

function requestOf(kind: number): number {
  if (kind === PENDING_SETTLED) return envelope.REQUEST_SETTLE;
  return kind === PENDING_CONTROL ? envelope.REQUEST_CONTROL : envelope.REQUEST_PRODUCE;
}
