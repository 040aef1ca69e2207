/** What went wrong with pushed messages, for which nobody waits: told to `onFailure`, or kept for the next flush. Browser-safe. */
import { SluiceError } from '../base/errors.ts';
import type { PushFailure } from './types.ts';

export class PushFailures {
  private readonly onFailure: ((failure: PushFailure) => void) | undefined;
  private error: SluiceError | undefined;
  private count = 0;

  constructor(onFailure: ((failure: PushFailure) => void) | undefined) {
    this.onFailure = onFailure;
  }

  add(topic: string, messageCount: number, error: SluiceError): void {
    if (this.onFailure !== undefined) {
      this.onFailure({ error, topic, messageCount });
      return;
    }
    this.error ??= error;
    this.count += messageCount;
  }

  /** The first failure since it was last asked, with the number of all. */
  take(): SluiceError | undefined {
    const { error, count: failed } = this;
    if (error === undefined) return undefined;
    this.error = undefined;
    this.count = 0;
    return new SluiceError(error.code, error.message, {
      hint: error.hint,
      cause: error,
      facts: { ...error.facts, failed },
    });
  }
}
