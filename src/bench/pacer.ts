/** Calls an action about every millisecond: what an open loop sends at each call is what is due by then. Event loop. */
import { type CancelTimer, startInterval } from '../base/clock.ts';

const INTERVAL_MS = 1;

export function startPacer(action: () => void): CancelTimer {
  return startInterval(INTERVAL_MS, action);
}
