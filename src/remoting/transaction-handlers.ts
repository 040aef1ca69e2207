/**
 * Transactions of RocketMQ's clients: END_TRANSACTION says what became of a half message, and CHECK_TRANSACTION_STATE asks a
 * producer of its group when nobody has said. Half messages are kept and counted by the shards.
 *
 * @source RocketMQ EndTransactionProcessor, AbstractTransactionalMessageCheckListener
 */
import type { HalfMessage, TransactionChecker } from '../acceptor/transactions.ts';
import { SluiceError } from '../base/errors.ts';
import { REGISTERED_NAME_MAX } from '../base/limits.ts';
import { STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { TRANSACTION_COMMIT, TRANSACTION_ROLLBACK } from '../protocol/remoting/message-flags.ts';
import { PROPERTY } from '../protocol/remoting/message-properties.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import { physicalOffsetText, placeOf } from './message-ids.ts';
import type { RemotingConnection } from './remoting-connection.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import { CodedError } from './remoting-refusal.ts';
import type { RemotingRequest } from './remoting-request.ts';

const INT32_MAX = 0x7fff_ffff;

async function endTransaction(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const fields = request.checkedFields();
  const offset = fields.text('commitLogOffset', REGISTERED_NAME_MAX);
  const decision = fields.integer('commitOrRollback', 0, INT32_MAX);
  const group = fields.text('producerGroup', REGISTERED_NAME_MAX);
  if (context.isSlave()) {
    const remark = 'this broker is a slave: the master ends transactions';
    request.answer({ code: RESPONSE_CODES.SLAVE_NOT_AVAILABLE, remark });
    return;
  }
  const isCommit = decision === TRANSACTION_COMMIT;
  if (!isCommit && decision !== TRANSACTION_ROLLBACK) {
    // The producer does not know yet: it is asked again.
    request.answer({});
    return;
  }
  const place = placeOf(offset);
  if (place === undefined)
    throw new SluiceError('INVALID_ARGUMENT', `commitLogOffset is ${offset}, which is no offset`);
  const outcome = await context.core.transactions
    .endAt(place.shard, place.place, isCommit, group)
    .catch(asRocketMq);
  if (outcome === (isCommit ? 'committed' : 'rolledBack')) {
    request.answer({});
    return;
  }
  const remark =
    outcome === 'notFound'
      ? `no half message waits at ${offset}`
      : `the half message at ${offset} was ended before: ${outcome}`;
  request.answer({ code: RESPONSE_CODES.SYSTEM_ERROR, remark });
}

/**
 * Another group's half message is a system error there. RocketMQ compares `tranStateTableOffset` too, which is where its queue
 * of half messages has this one: here the commit log offset alone names it.
 */
function asRocketMq(error: unknown): never {
  if (error instanceof SluiceError && error.code === 'FORBIDDEN')
    throw new CodedError(RESPONSE_CODES.SYSTEM_ERROR, error);
  throw error;
}

/** Asks producers that have told of themselves in heartbeats, those of a group in turn; else the one that sent last. */
class ProducerChecker implements TransactionChecker {
  private readonly context: RemotingContext;
  private turn = 0;

  constructor(context: RemotingContext) {
    this.context = context;
  }

  check(half: HalfMessage): boolean {
    const connection = this.askable(half);
    if (connection === undefined) return false;
    const { shard, place, queueId, stored, topic } = half;
    const extent = {
      ...{ shard, position: place, batchBytes: stored.length, baseOffset: 0 },
      ...{ first: 0, count: 1, queueId },
    };
    const { bytes } = this.context.messages.write(topic.topic, extent, stored, undefined);
    const uniqueKey = uniqueKeyIn(stored);
    const fields = new Map([
      ['tranStateTableOffset', '0'],
      ['commitLogOffset', physicalOffsetText(shard, place)],
      ['offsetMsgId', this.context.offsetMessageId(shard, place)],
      ['topic', topic.topic],
    ]);
    if (uniqueKey !== undefined) fields.set('msgId', uniqueKey).set('transactionId', uniqueKey);
    const code = REQUEST_CODES.CHECK_TRANSACTION_STATE;
    connection.tell({ code, fields, body: bytes });
    return true;
  }

  /** Who calls itself a producer of the group is not shown what is in a topic that it may not write to. */
  private askable({ group, topic }: HalfMessage): RemotingConnection | undefined {
    const { clients, halfSenders } = this.context;
    const producers = clients
      .producersOf(group)
      .filter(({ connection }) => this.context.mayBeAsked(connection, topic.topic));
    const producer = producers[this.turn++ % Math.max(1, producers.length)];
    if (producer !== undefined) return producer.connection;
    const sender = halfSenders.last(group);
    return sender !== undefined && this.context.mayBeAsked(sender, topic.topic)
      ? sender
      : undefined;
  }
}

function uniqueKeyIn(stored: Uint8Array): string | undefined {
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  const reader = new BatchReader().open(stored, view, STORED_HEADER_BYTES);
  return reader.next() ? reader.properties[PROPERTY.UNIQ_KEY] : undefined;
}

/** Ends of transactions, and questions about them. */
export function transactionHandlers(context: RemotingContext): HandlerTable {
  context.core.transactions.addChecker(new ProducerChecker(context));
  return [[REQUEST_CODES.END_TRANSACTION, (request) => endTransaction(context, request)]];
}
