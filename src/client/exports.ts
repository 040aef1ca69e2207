/** What both doors export beside `connect`. */
export { ERROR_CODES, type ErrorCode } from '../base/error-codes.ts';
export { SluiceError } from '../base/errors.ts';
export type {
  AdminAnswer,
  AdminClient,
  AdminOptions,
  CreateTopic,
  PutGroup,
  WhenFull,
} from './admin-client.ts';
export type { Client, Fetched, TopicInfo } from './client.ts';
export type { Consumer } from './consumer.ts';
export type {
  CancelDelayedOptions,
  Cancelled,
  DelayedList,
  DelayedOptions,
} from './delayed.ts';
export type { Delivery } from './delivery.ts';
export type { FetchedMessage } from './fetched-message.ts';
export type { Message } from './message.ts';
export type { Outbox, OutboxPolicy } from './outbox.ts';
export { type IndexedDbOutboxOptions, indexedDbOutbox } from './outbox-indexed-db.ts';
export type { Producer } from './producer.ts';
export type { BatchReceipt, Receipt, Receipts } from './receipt.ts';
export type { Settlement } from './settle.ts';
export type {
  Decision,
  HalfMessage,
  QuestionedMessage,
  TransactionOutcome,
  TransactionProducer,
  TransactionProducerOptions,
} from './transaction-producer.ts';
export type * from './types.ts';
