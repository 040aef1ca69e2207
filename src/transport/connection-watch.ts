/**
 * Looks at every WebSocket once a second: a silent one is pinged, then closed; one that sent too many control frames is
 * closed. Both libraries have timers of their own, with other meanings and a granularity of seconds; this one
 * makes them behave alike and costs the frame path one store. Event-loop thread of the front door.
 */
import { type CancelTimer, startInterval } from '../base/clock.ts';
import type { FrontDoorLimits, FrontDoorStatistics } from './transport.ts';

const TICK_MS = 1000;

/** What the watch keeps on a connection. Written by the connection as noted, otherwise by the watch. */
export interface WatchedConnection {
  /** Set by the connection for each whole frame: one that takes longer than the idle timeout counts as silence. */
  isActive: boolean;
  /** Nobody listens to a paused connection, so nobody can say that it is silent. */
  readonly isPaused: boolean;
  silentSeconds: number;
  /** Control frames since the last tick. */
  controlFrames: number;
  ping(): void;
  close(code: number, reason: string): void;
}

export class ConnectionWatch {
  private readonly connections: Set<WatchedConnection> = new Set();
  private readonly idleSeconds: number;
  private readonly pingAfterSeconds: number;
  private readonly controlFramesMax: number;
  private readonly statistics: FrontDoorStatistics;
  private readonly cancel: CancelTimer;

  constructor(limits: FrontDoorLimits, statistics: FrontDoorStatistics) {
    this.idleSeconds = limits.idleTimeoutSeconds;
    this.pingAfterSeconds = Math.floor(limits.idleTimeoutSeconds / 2);
    this.controlFramesMax = limits.controlFramesPerSecondMax;
    this.statistics = statistics;
    this.cancel = startInterval(TICK_MS, () => this.tick());
  }

  add(connection: WatchedConnection): void {
    this.connections.add(connection);
  }

  delete(connection: WatchedConnection): void {
    this.connections.delete(connection);
  }

  /** To be called for each ping and pong that arrives. */
  controlFrame(connection: WatchedConnection): void {
    connection.isActive = true;
    connection.controlFrames += 1;
    // The first one above the limit closes; what was read together with it is dropped by the closed connection.
    if (connection.controlFrames !== this.controlFramesMax + 1) return;
    this.statistics.floodsClosed += 1;
    connection.close(1008, 'too many control frames');
  }

  stop(): void {
    this.cancel();
  }

  private tick(): void {
    for (const connection of this.connections) {
      connection.controlFrames = 0;
      if (connection.isActive || connection.isPaused) {
        connection.isActive = false;
        connection.silentSeconds = 0;
        continue;
      }
      connection.silentSeconds += 1;
      if (connection.silentSeconds >= this.idleSeconds) {
        this.statistics.idleClosed += 1;
        connection.close(1001, 'silent for too long');
      } else if (connection.silentSeconds === this.pingAfterSeconds) {
        connection.ping();
      }
    }
  }
}
