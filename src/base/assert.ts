/**
 * The three kinds of check, never mixed: `invariant` for a programmer's mistake, `checkArgument` for a
 * caller's, a returned status for what the world does. Any thread; never blocks; allocates only on failure.
 */
import { SluiceError } from './errors.ts';

/**
 * A fact that only a bug can break. The agent that hits one stops: a half-wrong broker must not go on.
 *
 * @param text - constant text; values go into `a` and `b`, so that a passing check builds no string
 */
export function invariant(
  condition: boolean,
  text: string,
  a?: number,
  b?: number,
): asserts condition {
  if (condition) return;
  const values = [a, b].filter((value) => value !== undefined).join(', ');
  throw new SluiceError('INVARIANT', values === '' ? text : `${text} (${values})`);
}

/** Refuses a wrong argument of a public function with INVALID_ARGUMENT; state is unchanged. */
export function checkArgument(condition: boolean, text: string, hint?: string): asserts condition {
  if (!condition)
    throw new SluiceError('INVALID_ARGUMENT', text, hint === undefined ? {} : { hint });
}

/** The end of a `switch` over a closed set. */
export function unreachable(value: never): never {
  throw new SluiceError('INVARIANT', `unexpected case: ${String(value)}`);
}
