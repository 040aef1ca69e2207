/**
 * Looks at every TCP connection several times within its idle timeout and closes the silent ones. One timer for all of
 * them, and one store a frame. Event-loop thread.
 */
import { type CancelTimer, startInterval } from '../base/clock.ts';
import type { TcpCloseReason, TcpStatistics } from './tcp.ts';

/** Ticks within one idle timeout: silence is noticed late by at most this part of it. */
const TICKS = 8;

/** What the watch keeps on a connection. */
export interface WatchedTcp {
  isActive: boolean;
  readonly isPaused: boolean;
  silentTicks: number;
  close(reason: TcpCloseReason): void;
}

export class TcpWatch {
  private readonly connections: Set<WatchedTcp> = new Set();
  private readonly statistics: TcpStatistics;
  private readonly cancel: CancelTimer;

  constructor(idleTimeoutMs: number, statistics: TcpStatistics) {
    this.statistics = statistics;
    this.cancel = startInterval(Math.max(1, Math.floor(idleTimeoutMs / TICKS)), () => this.tick());
  }

  add(connection: WatchedTcp): void {
    this.connections.add(connection);
  }

  delete(connection: WatchedTcp): void {
    this.connections.delete(connection);
  }

  stop(): void {
    this.cancel();
  }

  private tick(): void {
    for (const connection of this.connections) {
      if (connection.isActive || connection.isPaused) {
        connection.isActive = false;
        connection.silentTicks = 0;
        continue;
      }
      connection.silentTicks += 1;
      if (connection.silentTicks < TICKS) continue;
      this.statistics.idleClosed += 1;
      connection.close('idle');
    }
  }
}
