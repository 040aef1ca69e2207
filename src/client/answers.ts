/**
 * What comes back from a broker, read with care: a field that is missing or of another type is noticed here, and not
 * as an `undefined` somewhere later. Browser-safe.
 */
import { type ErrorBody, SluiceError } from '../base/errors.ts';
import type { TopicAnswer, WelcomeAnswer } from '../protocol/web/messages.ts';

/** An answer of which nothing is known yet. */
export type AnyAnswer = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is AnyAnswer =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** The error of an `error` answer. */
export function answerError(answer: AnyAnswer): SluiceError {
  const text = (name: string): string | undefined => {
    const value = answer[name];
    return typeof value === 'string' ? value : undefined;
  };
  const message = text('message');
  const hint = text('hint');
  const retryAfterMs = answer['retryAfterMs'];
  const facts = answer['facts'];
  return SluiceError.fromBody({
    code: (text('code') ?? 'INVARIANT') as ErrorBody['code'],
    ...(message === undefined ? {} : { message }),
    ...(hint === undefined ? {} : { hint }),
    ...(isCount(retryAfterMs) ? { retryAfterMs } : {}),
    ...(isObject(facts) ? { facts: facts as Record<string, string | number | boolean> } : {}),
  });
}

/** Undefined when it is no welcome of a version that this client speaks. */
export function readWelcome(answer: AnyAnswer): WelcomeAnswer | undefined {
  if (answer['op'] !== 'welcome' || answer['version'] !== 1) return undefined;
  const limits = answer['limits'];
  const broker = answer['broker'];
  if (!isObject(limits) || !isObject(broker)) return undefined;
  for (const name of ['batchBytes', 'bodyBytes', 'inFlight', 'credit', 'producerBatches'])
    if (!isCount(limits[name])) return undefined;
  if (typeof broker['address'] !== 'string' || !isCount(broker['port'])) return undefined;
  return answer as unknown as WelcomeAnswer;
}

/** @throws BAD_FRAME when it is no answer to `topic` */
export function readTopic(answer: AnyAnswer): TopicAnswer {
  const { topicId, queues } = answer;
  if (!isCount(topicId) || !isCount(queues) || queues === 0)
    throw new SluiceError('BAD_FRAME', 'the answer to "topic" names no topicId or no queues');
  return answer as unknown as TopicAnswer;
}

/** @throws BAD_FRAME when the field is no number from 0 */
export function readCount(answer: AnyAnswer, name: string): number {
  const value = answer[name];
  if (!isCount(value))
    throw new SluiceError('BAD_FRAME', `the field "${name}" of the answer is no number`);
  return value;
}
