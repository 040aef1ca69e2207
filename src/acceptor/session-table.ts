/** The sessions that are open, by connection and by their number in requests to shards. */
import type { Clock } from '../base/clock.ts';
import type { WebSocketConnection } from '../transport/transport.ts';
import type { AcceptorConfig } from './acceptor-options.ts';
import { Session } from './session.ts';

const U32 = 0x1_0000_0000;

export class SessionTable {
  private readonly byConnection = new Map<WebSocketConnection, Session>();
  private readonly byNumber = new Map<number, Session>();
  private readonly config: AcceptorConfig;
  private readonly clock: Clock;
  private lastNumber = 0;

  constructor(config: AcceptorConfig, clock: Clock) {
    this.config = config;
    this.clock = clock;
  }

  get count(): number {
    return this.byNumber.size;
  }

  open(connection: WebSocketConnection): Session {
    // Session 0 is the acceptor itself.
    do this.lastNumber = (this.lastNumber + 1) % U32;
    while (this.lastNumber === 0 || this.byNumber.has(this.lastNumber));
    const session = new Session(this.lastNumber, connection, this.config, this.clock);
    this.byConnection.set(connection, session);
    this.byNumber.set(session.number, session);
    return session;
  }

  of(connection: WebSocketConnection): Session | undefined {
    return this.byConnection.get(connection);
  }

  get(number: number): Session | undefined {
    return this.byNumber.get(number);
  }

  all(): readonly Session[] {
    return [...this.byNumber.values()];
  }

  /** Takes the session of a closed connection out. */
  remove(connection: WebSocketConnection): Session | undefined {
    const session = this.byConnection.get(connection);
    if (session === undefined) return undefined;
    session.isClosed = true;
    this.byConnection.delete(connection);
    this.byNumber.delete(session.number);
    return session;
  }

  /** Unanswered SEND_BATCH frames of all sessions. */
  get batchCount(): number {
    let count = 0;
    for (const session of this.byNumber.values()) count += session.batches.size;
    return count;
  }
}
