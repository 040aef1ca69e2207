/**
 * Answers one request in the dialect it came in, exactly once. A connection that has closed meanwhile is answered by
 * nothing; its request counts as ended all the same.
 */
import type { ErrorBody } from '../base/errors.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { GivenId } from '../protocol/web/checked-requests.ts';
import { encodeControl } from '../protocol/web/control-codec.ts';
import { encodeJsonAnswer, encodeJsonAnswerText } from '../protocol/web/json-codec.ts';
import type { AcceptorCounters } from './acceptor-counters.ts';
import type { ReplyOutbox } from './reply-outbox.ts';
import type { Session } from './session.ts';

export type Dialect = 'json' | 'binary';

/** Nesting that a body in a CONTROL answer may have: the frame's own levels and the reader's limit of 16. */
const ANSWER_DEPTH_MAX = 12;

/** A refusal as it travels; `stored` is what is known about this very request. */
export function refusalBody(
  error: SluiceError,
  stored: false | 'unknown' = error.stored,
): ErrorBody {
  return { ...error.toBody(), stored };
}

export class Responder {
  readonly session: Session;
  readonly id: GivenId;
  readonly dialect: Dialect;
  private readonly outbox: ReplyOutbox;
  private readonly counters: AcceptorCounters;
  private isAnswered = false;
  private isCounted = false;

  constructor(
    session: Session,
    dialect: Dialect,
    id: GivenId,
    outbox: ReplyOutbox,
    counters: AcceptorCounters,
  ) {
    this.session = session;
    this.dialect = dialect;
    this.id = id;
    this.outbox = outbox;
    this.counters = counters;
  }

  /** Counts the request into the session's window. @returns false when the window is full and the refusal sent */
  begin(): boolean {
    const refusal = this.session.begin();
    if (refusal !== undefined) {
      this.refuse(refusal);
      return false;
    }
    this.isCounted = true;
    return true;
  }

  answer(op: string, fields: object = {}): void {
    if (!this.finish()) return;
    this.outbox.send(
      this.session,
      this.dialect === 'json'
        ? encodeJsonAnswer(op, this.id, fields)
        : encodeControl(this.id === undefined ? { op, ...fields } : { op, id: this.id, ...fields }),
    );
  }

  /** The same for fields that are JSON text, without braces, and may hold names from outside. */
  answerText(op: string, fieldsJson: string): void {
    let answer: string | Uint8Array = encodeJsonAnswerText(op, this.id, fieldsJson);
    if (this.dialect === 'binary') {
      try {
        answer = encodeControl(asMaps(JSON.parse(answer), ANSWER_DEPTH_MAX));
      } catch (error) {
        // A body nested so deeply that writing it exhausts the stack.
        this.refuseThrown(error);
        return;
      }
    }
    if (this.finish()) this.outbox.send(this.session, answer);
  }

  /** It ends without an answer, because none was asked for. */
  dismiss(): void {
    this.finish();
  }

  refuse(error: SluiceError): void {
    this.refuseBody(refusalBody(error));
  }

  refuseBody(body: ErrorBody): void {
    if (!this.finish()) return;
    this.counters.refused(body.code);
    this.outbox.send(
      this.session,
      this.dialect === 'json'
        ? encodeJsonAnswer('error', this.id, body)
        : encodeControl({
            op: 'error',
            ...(this.id === undefined ? {} : { id: this.id }),
            ...body,
          }),
    );
  }

  /** Refuses with whatever was thrown. */
  readonly refuseThrown = (error: unknown): void => {
    if (!(error instanceof SluiceError)) this.counters.internalErrors += 1;
    this.refuse(toSluiceError(error));
  };

  private finish(): boolean {
    if (this.isAnswered) return false;
    this.isAnswered = true;
    if (this.isCounted) this.session.end();
    return !this.session.isClosed;
  }
}

/**
 * JSON values with maps in place of objects: an encoder that looks at objects for methods and constructors must not find
 * names that a producer chose. What is nested too deeply for a CONTROL frame goes as its JSON text.
 */
function asMaps(value: unknown, depth: number): object {
  return asMapsOf(value, depth) as object;
}

function asMapsOf(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return JSON.stringify(value);
  if (Array.isArray(value)) return value.map((item) => asMapsOf(item, depth - 1));
  return new Map(Object.entries(value).map(([name, item]) => [name, asMapsOf(item, depth - 1)]));
}
