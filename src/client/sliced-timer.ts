/**
 * A limit for an answer, counted in slices. A process that stood still, with its machine asleep or its container stopped, has
 * lost one of them and not all: what came meanwhile is read before the next one is over. Browser-safe.
 */
import type { CancelTimer } from '../base/clock.ts';

/** Slices of a limit: what one that stood still loses is one of them. */
export const SLICES = 5;

export function startSlicedTimer(
  startTimer: (delayMs: number, action: () => void) => CancelTimer,
  ms: number,
  action: () => void,
): CancelTimer {
  let slices = SLICES;
  let cancel: CancelTimer = () => {};
  const next = (): void => {
    cancel = startTimer(ms / SLICES, () => {
      slices -= 1;
      if (slices > 0) next();
      else action();
    });
  };
  next();
  return () => cancel();
}
