/** Requests and answers in CONTROL frames on a measuring socket: the little that is not hot. */
import { SluiceError } from '../base/errors.ts';
import { decodeControl, encodeControl } from '../protocol/web/control-codec.ts';

export type ControlAnswer = Readonly<Record<string, unknown>>;

/** What a frame was: an answer that somebody waited for, or something the owner must look at. */
export type Unasked = { readonly op: string; readonly id: unknown; readonly answer: ControlAnswer };

type Waiting = {
  readonly resolve: (answer: ControlAnswer) => void;
  readonly reject: (error: SluiceError) => void;
};

export class ControlCalls {
  private readonly send: (frame: Uint8Array) => void;
  private readonly waiting = new Map<string, Waiting>();
  private lastNumber = 0;

  constructor(send: (frame: Uint8Array) => void) {
    this.send = send;
  }

  /** Asks, and resolves with the answer. @throws the broker's refusal */
  call(fields: Readonly<Record<string, unknown>>): Promise<ControlAnswer> {
    this.lastNumber += 1;
    // Letters, so that it is never taken for the correlation id of a batch.
    const id = `call-${this.lastNumber}`;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.send(encodeControl({ ...fields, id }));
    });
  }

  /** Sends what has no answer. */
  tell(fields: Readonly<Record<string, unknown>>): void {
    this.send(encodeControl(fields));
  }

  /** @returns what nobody asked for; undefined when it was an answer. @throws BAD_FRAME */
  take(frame: Uint8Array): Unasked | undefined {
    const decoded = decodeControl(frame);
    if (decoded.verdict !== 'ok')
      throw new SluiceError(
        'BAD_FRAME',
        `a CONTROL frame of the broker is wrong: ${decoded.verdict}`,
      );
    const answer = decoded.value;
    const op = String(answer['op']);
    const id = answer['id'];
    const waiting = typeof id === 'string' ? this.waiting.get(id) : undefined;
    if (waiting === undefined) return { op, id, answer };
    this.waiting.delete(id as string);
    if (op === 'error') waiting.reject(refusalOf(answer));
    else waiting.resolve(answer);
    return undefined;
  }

  /** The connection is gone: nobody will be answered. */
  fail(error: SluiceError): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/** An `error` answer as an error. */
export function refusalOf(answer: ControlAnswer): SluiceError {
  return SluiceError.fromBody(answer as Parameters<typeof SluiceError.fromBody>[0]);
}
