/**
 * How an error is told: code, what happened, cause, evidence, and what to do next; never a stack trace. With --json the
 * same as one line `{"error":{…}}` on stdout.
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { escapeControl } from '../observe/log-text.ts';
import { paint } from './terminal.ts';

/** The command line itself is wrong: exit code 2, nothing was done. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** Runs `read` on what the user wrote: a refusal of it is wrong usage. */
export function asUsage<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    throw new UsageError(error.message, error.hint);
  }
}

/** The error as it travels; a cause that is known goes with it. */
export function errorBody(error: unknown): Record<string, unknown> {
  if (error instanceof UsageError) {
    const { message, hint } = error;
    return { code: 'INVALID_ARGUMENT', retryable: false, stored: false, message, hint };
  }
  const sluiceError = toSluiceError(error);
  const causes = causesOf(sluiceError);
  return { ...sluiceError.toBody(), ...(causes.length === 0 ? {} : { cause: causes.join(': ') }) };
}

export function reportError(error: unknown, isJson: boolean): void {
  if (isJson) process.stdout.write(`${JSON.stringify({ error: errorBody(error) })}\n`);
  else process.stderr.write(`${errorText(error)}\n`);
}

/** Several lines for people. */
export function errorText(error: unknown): string {
  if (error instanceof UsageError) {
    return `${paint(process.stderr, 'red', 'wrong usage')}  ${shown(error.message)}\n${line('hint', error.hint)}`;
  }
  const sluiceError = toSluiceError(error);
  const lines = [
    `${paint(process.stderr, 'red', sluiceError.code)}  ${shown(sluiceError.message)}`,
  ];
  for (const cause of causesOf(sluiceError)) lines.push(line('cause', cause));
  const facts = Object.entries(sluiceError.facts).map(([name, value]) => `${name}=${value}`);
  if (facts.length > 0) lines.push(line('evidence', facts.join('  ')));
  lines.push(line('hint', sluiceError.hint));
  return lines.join('\n');
}

/** What stands behind an error, from the nearest on, without what the error itself says already. */
function causesOf(error: SluiceError): string[] {
  const causes: string[] = [];
  let cause: unknown = error.cause;
  // Causes could form a ring; nobody reads more than a few.
  for (let depth = 0; depth < 4 && cause !== undefined && cause !== null; depth += 1) {
    const text = cause instanceof Error ? messageOf(cause) : String(cause);
    if (text !== '' && !error.message.includes(text) && !causes.includes(text)) causes.push(text);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

/** An error of several attempts (IPv6, IPv4) has no text of its own. */
function messageOf(error: Error): string {
  if (error.message === '' && error instanceof AggregateError)
    return error.errors.map((one) => (one instanceof Error ? one.message : String(one))).join('; ');
  return error.message;
}

function line(label: string, text: string): string {
  return `  ${paint(process.stderr, 'dim', label.padEnd(9))} ${shown(text)}`;
}

/** Lines stay lines; nothing else of it commands the terminal. */
function shown(text: string): string {
  return text.split('\n').map(escapeControl).join('\n            ');
}
