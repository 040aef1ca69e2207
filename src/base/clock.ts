/**
 * Time, injected. Deadlines use `monotonicMs`, which never jumps; `epochMs` is for what people read (store time,
 * retention) and no decision about safety uses it. The only file that reads the system's clocks. Browser-safe.
 */

/** Where a component gets its time from. */
export interface Clock {
  /** Wall time, milliseconds since 1970. May jump. */
  epochMs(): number;
  /** Milliseconds since an arbitrary start, with fractions. Never goes back. */
  monotonicMs(): number;
}

/** The clocks of this machine. */
export const systemClock: Clock = {
  epochMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** Cancels a timer; calling it twice is harmless. */
export type CancelTimer = () => void;

/** Calls `action` once after `delayMs`; the timer does not keep the process alive. */
export function startTimer(delayMs: number, action: () => void): CancelTimer {
  const timer = setTimeout(action, delayMs) as unknown as { unref?: () => void };
  timer.unref?.();
  return () => clearTimeout(timer as unknown as number);
}

/** Calls `action` every `intervalMs`; the timer does not keep the process alive. */
export function startInterval(intervalMs: number, action: () => void): CancelTimer {
  const timer = setInterval(action, intervalMs) as unknown as { unref?: () => void };
  timer.unref?.();
  return () => clearInterval(timer as unknown as number);
}

/** Resolves after `delayMs`; keeps the process alive meanwhile, because somebody waits for it. */
export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}
