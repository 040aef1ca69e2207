/** One check of `sluice doctor`: how it went, what was seen, and what to do next. */

export type CheckState = 'ok' | 'warn' | 'fail' | 'skip';

export type Finding = {
  readonly check: string;
  readonly state: CheckState;
  /** What was seen. */
  readonly message: string;
  /** What to do; null when nothing is to be done. */
  readonly next: string | null;
  /** How long it took, milliseconds; null where that says nothing. */
  readonly ms: number | null;
};

export function finding(
  check: string,
  state: CheckState,
  message: string,
  next: string | null = null,
  ms: number | null = null,
): Finding {
  return { check, state, message, next, ms: ms === null ? null : Math.round(ms * 100) / 100 };
}
