/** What the acceptor has counted since its start: plain numbers, written on the main thread, copied out by `snapshot`. */
import type { ErrorCode } from '../base/error-codes.ts';

export class AcceptorCounters {
  /** WebSocket connections opened and closed, HTTP requests taken. */
  opened = 0;
  closed = 0;
  httpRequests = 0;
  textFrames = 0;
  binaryFrames = 0;
  bytesIn = 0;
  /** Batches handed to shards, and answers that came back for them. */
  batchesIn = 0;
  batchesStored = 0;
  /** Messages handed to consumers, and those given back to their shard. */
  messagesDelivered = 0;
  messagesReleased = 0;
  /** Messages that an SQL filter could not be evaluated on: not delivered. */
  filterFailures = 0;
  coldReads = 0;
  coldReadFailures = 0;
  /** Times that a connection's reading was paused. */
  pauses = 0;
  ringFull = 0;
  /** Records or continuations that failed in a way nobody expected. */
  internalErrors = 0;
  private readonly refusalsByCode = new Map<ErrorCode, number>();

  refused(code: ErrorCode): void {
    this.refusalsByCode.set(code, (this.refusalsByCode.get(code) ?? 0) + 1);
  }

  refusals(): ReadonlyMap<ErrorCode, number> {
    return new Map(this.refusalsByCode);
  }
}
