/**
 * The one property that dialects keep to themselves: what a message of RocketMQ has and a record lacks
 * (protocol/remoting/message-origin.ts). Native dialects neither show it nor take it from outside. Browser-safe.
 */
import { SluiceError } from '../../base/errors.ts';

export const ORIGIN_PROPERTY = '__remoting';

/** @throws INVALID_ARGUMENT when a producer gives a message a property that it may not have */
export function checkPropertyName(name: string): void {
  if (name !== ORIGIN_PROPERTY) return;
  throw new SluiceError('INVALID_ARGUMENT', `the property ${name} is the broker's own`, {
    hint: 'Give the property another name.',
  });
}
