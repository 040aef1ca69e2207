/** Messages that wait for their time, as the client asks for them: over all brokers of a topic. Browser-safe. */
import { checkArgument } from '../base/assert.ts';
import { SluiceError } from '../base/errors.ts';
import type { CancelOutcome, DelayedMessage } from '../protocol/web/messages.ts';
import { type AnyAnswer, readCount } from './answers.ts';
import type { Link } from './link.ts';
import type { WaitOptions } from './types.ts';

/** Which delayed messages to list. */
export type DelayedOptions = {
  readonly topic: string;
  /** Only those with this key. */
  readonly key?: string | undefined;
  /** Messages at most; default 100, up to 1000. */
  readonly max?: number | undefined;
} & WaitOptions;

/** Which delayed messages to cancel: all with a key, or the one that a receipt names. */
export type CancelDelayedOptions = {
  readonly topic: string;
  readonly key?: string | undefined;
  readonly messageId?: string | undefined;
  /** Name of the broker that has it (`receipt.broker`); needed with `messageId` where several have the topic. */
  readonly broker?: string | undefined;
} & WaitOptions;

/** Delayed messages of a topic. */
export type DelayedList = {
  /** What is due first, first. */
  readonly messages: readonly DelayedMessage[];
  /** Messages of the topic that wait, whatever their key. */
  readonly waiting: number;
};

/** What became of a request to cancel. */
export type Cancelled = {
  /** `cancelled`: will not be delivered; `delivered`: can be seen already; `notFound`: nothing of the kind is known. */
  readonly outcome: CancelOutcome;
  /** Ids of the messages that this request has cancelled. */
  readonly messageIds: readonly string[];
};

const OUTCOMES: readonly CancelOutcome[] = ['cancelled', 'delivered', 'notFound'];

/** Lists what waits at these brokers. */
export async function listDelayed(
  links: readonly Link[],
  { topic, key, max = 100, ...wait }: DelayedOptions,
): Promise<DelayedList> {
  const request = { op: 'delayed', topic, max, ...(key === undefined ? {} : { key }) } as const;
  const answers = await Promise.all(links.map((link) => link.request(request, wait)));
  const messages = answers
    .flatMap((answer) => readList<DelayedMessage>(answer, 'messages'))
    .sort((one, other) => one.deliverAt - other.deliverAt)
    .slice(0, max);
  const waiting = answers.reduce((sum, answer) => sum + readCount(answer, 'waiting'), 0);
  return { messages, waiting };
}

/** Cancels at these brokers. @throws INVALID_ARGUMENT */
export async function cancelDelayed(
  links: readonly Link[],
  { topic, key, messageId, broker, ...wait }: CancelDelayedOptions,
): Promise<Cancelled> {
  checkArgument(
    (key === undefined) !== (messageId === undefined),
    'cancelDelayed wants either key or messageId',
  );
  const chosen = broker === undefined ? links : links.filter((one) => one.brokerName === broker);
  const names = links.map((one) => one.brokerName).join(', ');
  checkArgument(
    chosen.length > 0 && (messageId === undefined || chosen.length === 1),
    `the topic ${topic} is on the brokers ${names}; cancelDelayed wants the one of the receipt as broker`,
  );
  const target = key === undefined ? { messageId: messageId as string } : { key };
  const request = { op: 'cancelDelayed', topic, ...target } as const;
  const answers = await Promise.all(chosen.map((link) => link.request(request, wait)));
  const outcomes = answers.map(readOutcome);
  // The first of the list that any of them gave: what one broker has cancelled is cancelled.
  const outcome = OUTCOMES.find((one) => outcomes.includes(one)) ?? 'notFound';
  return { outcome, messageIds: answers.flatMap((one) => readList<string>(one, 'messageIds')) };
}

function readOutcome({ outcome }: AnyAnswer): CancelOutcome {
  const found = OUTCOMES.find((one) => one === outcome);
  if (found === undefined)
    throw new SluiceError('BAD_FRAME', 'the answer to "cancelDelayed" has no outcome');
  return found;
}

function readList<Item>(answer: AnyAnswer, name: string): readonly Item[] {
  const value = answer[name];
  if (!Array.isArray(value))
    throw new SluiceError('BAD_FRAME', `the field "${name}" of the answer is no list`);
  return value as Item[];
}
