/**
 * A session that is made again when it is lost, for requests that may be sent again: each is repeated until it is
 * answered, refused for good, or its time is up.
 */
import { sleep, systemClock } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { type Prng, systemPrng } from '../base/prng.ts';
import type { AnyAnswer } from '../client/answers.ts';
import { RECONNECT_POLICY, retryDelayMs } from '../client/retry-policy.ts';
import type { ClientRequest } from '../protocol/web/messages.ts';
import { JsonSession } from './json-session.ts';
import type { Target } from './target.ts';

/** Milliseconds that one request is repeated. */
const PATIENCE_MS = 30_000;

export class PatientSession {
  private readonly target: Target;
  private session: JsonSession;
  private readonly prng: Prng = systemPrng();

  private constructor(target: Target, session: JsonSession) {
    this.target = target;
    this.session = session;
  }

  /** Connects once: an address that answers nothing now is told at once. @throws as JsonSession.open */
  static async open(target: Target): Promise<PatientSession> {
    return new PatientSession(target, await JsonSession.open(target));
  }

  get limits(): JsonSession['welcome']['limits'] {
    return this.session.welcome.limits;
  }

  /** @throws the last refusal */
  async request(request: ClientRequest): Promise<AnyAnswer> {
    const end = systemClock.monotonicMs() + PATIENCE_MS;
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.session.request(request, Math.max(1, end - systemClock.monotonicMs()));
      } catch (thrown) {
        const error = toSluiceError(thrown);
        if (!error.retryable) throw error;
        const delayMs = error.retryAfterMs ?? retryDelayMs(RECONNECT_POLICY, failures, this.prng);
        if (systemClock.monotonicMs() + delayMs >= end) throw error;
        await sleep(delayMs);
        if (error.code === 'DISCONNECTED') await this.reconnect();
      }
    }
  }

  async close(): Promise<void> {
    await this.session.close();
  }

  /** Tries once; the request that needs it comes again. @throws what will not get better */
  private async reconnect(): Promise<void> {
    try {
      this.session = await JsonSession.open(this.target);
    } catch (error) {
      if (!(error instanceof SluiceError) || !error.retryable) throw error;
    }
  }
}
