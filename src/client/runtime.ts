/**
 * What the client takes from its surroundings, injected: clock, randomness, timers, sockets, checksum. The doors
 * (`index.ts`, `node.ts`) fill it in; tests use their own. Browser-safe.
 */
import { type CancelTimer, type Clock, startTimer, systemClock } from '../base/clock.ts';
import { crc32 } from '../base/crc32.ts';
import { type Prng, systemPrng } from '../base/prng.ts';
import type { Crc32 } from '../protocol/batch/batch-builder.ts';
import { startSlicedTimer } from './sliced-timer.ts';
import { type OpenSocket, openPlatformSocket } from './socket.ts';

export type HttpGet = (
  url: string,
  timeoutMs: number,
) => Promise<{ readonly status: number; readonly text: string }>;

const httpGet: HttpGet = async (url, timeoutMs) => {
  const controller = new AbortController();
  const cancel = startSlicedTimer(startTimer, timeoutMs, () =>
    controller.abort(new Error(`no answer within ${timeoutMs} ms`)),
  );
  try {
    const { signal } = controller;
    const response = await fetch(url, { signal, redirect: 'error' });
    return { status: response.status, text: await response.text() };
  } finally {
    cancel();
  }
};

export type ClientRuntime = {
  readonly clock: Clock;
  /** Jitter only. */
  readonly prng: Prng;
  /** Calls once after a delay; alone it does not keep a process alive. */
  readonly startTimer: (delayMs: number, action: () => void) => CancelTimer;
  readonly openSocket: OpenSocket;
  readonly crc32: Crc32;
  /** A GET over HTTP. Rejects when there is no answer in time. */
  readonly httpGet: HttpGet;
  /** A new id that nobody else has: 32 hex digits. */
  readonly newId: () => string;
  /** True: the process must live on, because somebody waits for the client. No effect in browsers. */
  readonly keepAlive: (held: boolean) => void;
};

/** 128 random bits as hex: producers of a whole fleet must not meet. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The runtime of a browser, and of any platform with a `WebSocket`. */
export function platformRuntime(): ClientRuntime {
  return {
    clock: systemClock,
    prng: systemPrng(),
    startTimer,
    openSocket: openPlatformSocket,
    httpGet,
    crc32: (bytes, start, end) => crc32(bytes, start, end),
    newId: randomId,
    keepAlive: () => {},
  };
}

/** Counts who still waits for something, and keeps the process alive while somebody does. */
export class PendingWork {
  private readonly keepAlive: (held: boolean) => void;
  private count = 0;

  constructor(keepAlive: (held: boolean) => void) {
    this.keepAlive = keepAlive;
  }

  begin(): void {
    this.count += 1;
    if (this.count === 1) this.keepAlive(true);
  }

  end(): void {
    this.count -= 1;
    if (this.count === 0) this.keepAlive(false);
  }
}
