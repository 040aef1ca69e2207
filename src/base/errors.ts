/** The one error class of the broker and its client. Browser-safe. */
import { ERROR_CODES, type ErrorCategory, type ErrorCode } from './error-codes.ts';

/** Facts beside the text of an error: typed, so that nobody parses the text. */
export type ErrorFacts = {
  readonly hint?: string;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
};

/** An error as it travels in JSON frames, HTTP bodies and `--json` output. */
export type ErrorBody = {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  /** `false`: certainly not stored. `"unknown"`: send again with the same producerId and sequence. */
  readonly stored: false | 'unknown';
  readonly message: string;
  readonly hint: string;
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
};

/**
 * Every error that leaves SluiceMQ. Match on `code`, never on `message`.
 *
 * @source base/error-codes.ts, docs/ERRORS.md
 */
export class SluiceError extends Error {
  override readonly name = 'SluiceError';
  readonly code: ErrorCode;
  readonly category: ErrorCategory;
  readonly retryable: boolean;
  readonly stored: false | 'unknown';
  readonly hint: string;
  /** Milliseconds after which a retry makes sense; undefined when the code is not about load. */
  readonly retryAfterMs: number | undefined;
  readonly facts: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message?: string, options: ErrorFacts = {}) {
    const definition = ERROR_CODES[code];
    super(
      message ?? definition.sentence,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.category = definition.category;
    this.retryable = definition.retryable;
    this.stored = definition.stored === 'no' ? false : 'unknown';
    this.hint = options.hint ?? definition.hint;
    this.retryAfterMs = options.retryAfterMs;
    this.facts = options.facts ?? {};
  }

  /** The form for JSON frames, HTTP bodies and `--json` output. */
  toBody(): ErrorBody {
    return {
      code: this.code,
      retryable: this.retryable,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      stored: this.stored,
      message: this.message,
      hint: this.hint,
      ...(Object.keys(this.facts).length === 0 ? {} : { facts: this.facts }),
    };
  }

  /** Rebuilds an error from its wire form; an unknown code becomes INVARIANT with the text kept. */
  static fromBody(body: Partial<ErrorBody>): SluiceError {
    const code =
      body.code !== undefined && Object.hasOwn(ERROR_CODES, body.code) ? body.code : 'INVARIANT';
    return new SluiceError(code, body.message, {
      ...(body.hint === undefined ? {} : { hint: body.hint }),
      ...(body.retryAfterMs === undefined ? {} : { retryAfterMs: body.retryAfterMs }),
      ...(body.facts === undefined ? {} : { facts: body.facts }),
    });
  }
}

/** Any thrown value as a SluiceError: itself, or wrapped with `cause` kept. */
export function toSluiceError(error: unknown, code: ErrorCode = 'INVARIANT'): SluiceError {
  if (error instanceof SluiceError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new SluiceError(code, text, { cause: error });
}
