/** The works of a consumer as its users' side sees them: over one broker or over those of a cluster. Browser-safe. */
import type { SluiceError } from '../base/errors.ts';
import type { SeekTo } from '../protocol/web/messages.ts';
import type { ConsumerSettings } from './consumer-settings.ts';
import type { Delivery } from './delivery.ts';
import type { Message } from './message.ts';
import type { ClientRuntime } from './runtime.ts';
import type { WaitOptions } from './types.ts';

export interface ConsumerWorks {
  readonly runtime: ClientRuntime;
  readonly settings: ConsumerSettings;
  /** Why no more messages come; `isOver` without it: closed by the user. */
  readonly failure: SluiceError | undefined;
  /** No more messages are given out. */
  readonly isOver: boolean;
  /** Messages given out and not settled. */
  readonly takenCount: number;
  readonly isSubscribed: boolean;
  /** Subscribes, now and after each reconnect. Harmless when started already. */
  start(): void;
  /** Resolves with the next change: a delivery, a settlement, a subscription, the end. */
  changed(): Promise<void>;
  /** The next message; undefined when none is here. */
  takeMessage(): Message | undefined;
  /** The next delivery that no message was taken from; undefined when none is here. */
  takeDelivery(): Delivery | undefined;
  /** Gives out no more. What was given out can still be settled. */
  stop(): void;
  /** Sends what is settled, gives back what is not, and ends. */
  close(): Promise<void>;
  /** Sets where the group goes on. */
  seek(to: SeekTo, options: WaitOptions | undefined): Promise<void>;
  /** Ends at once. */
  closed(error: SluiceError): void;
}
