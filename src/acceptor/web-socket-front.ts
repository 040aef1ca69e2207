/**
 * WebSocket connections: what each frame is, whether its sender may send it now, and who takes it. Frames of a connection
 * that has not authenticated are counted, and the connection is closed when they are too many. Nothing throws out of here.
 */
import { SluiceError } from '../base/errors.ts';
import { AUTHENTICATE_MS_MAX, UNAUTHENTICATED_BYTES_MAX } from '../base/limits.ts';
import { viewOf } from '../protocol/web/binary-codec.ts';
import type { GivenId } from '../protocol/web/checked-requests.ts';
import {
  FRAME_CONTROL,
  FRAME_KIND,
  FRAME_SEND_BATCH,
  FRAME_SETTLE,
  SEND_CORRELATION_ID,
  SETTLE_CORRELATION_ID,
} from '../protocol/web/frames-layout.ts';
import { type DecodedRequest, decodeJsonFrame } from '../protocol/web/json-codec.ts';
import type { WebSocketConnection, WebSocketHandler } from '../transport/transport.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import { BatchIntake, type Intake } from './batch-intake.ts';
import { decodeControlRequest } from './control-intake.ts';
import { operate } from './operations.ts';
import { type Dialect, Responder, refusalBody } from './responder.ts';
import { CLOSE_GOING_AWAY, CLOSE_POLICY, type Session } from './session.ts';
import { SettleIntake } from './settle-intake.ts';

/** Bytes before a token came: a hello has some hundred, and one read may bring four times as many as this. */
const FIRST_BYTES_MAX: number = UNAUTHENTICATED_BYTES_MAX / 4;

export class WebSocketFront implements WebSocketHandler {
  private readonly core: AcceptorCore;
  private readonly batches: BatchIntake;
  private readonly settles: SettleIntake;

  constructor(core: AcceptorCore) {
    this.core = core;
    this.batches = new BatchIntake(core);
    this.settles = new SettleIntake(core);
  }

  open(connection: WebSocketConnection): void {
    const { core } = this;
    core.counters.opened += 1;
    const session = core.sessions.open(connection);
    if (core.isDraining) connection.close(CLOSE_GOING_AWAY, 'the broker is shutting down');
    if (session.isAuthenticated) return;
    connection.limitIncoming(FIRST_BYTES_MAX);
    core.deadlines.add(core.clock.monotonicMs() + AUTHENTICATE_MS_MAX, () => {
      if (!session.isClosed && !session.isAuthenticated)
        connection.close(CLOSE_POLICY, 'no token came in time');
    });
  }

  text(connection: WebSocketConnection, text: string): void {
    const session = this.core.sessions.of(connection);
    if (session === undefined) return;
    this.core.counters.textFrames += 1;
    this.core.counters.bytesIn += text.length;
    if (this.isWithinFirstBytes(session, text.length))
      this.request(session, 'json', decodeJsonFrame(text), text.length);
  }

  binary(connection: WebSocketConnection, bytes: Uint8Array): void {
    const session = this.core.sessions.of(connection);
    if (session === undefined) return;
    this.core.counters.binaryFrames += 1;
    this.core.counters.bytesIn += bytes.length;
    if (!this.isWithinFirstBytes(session, bytes.length)) return;
    if (bytes[FRAME_KIND] === FRAME_CONTROL)
      this.request(session, 'binary', decodeControlRequest(bytes), bytes.length);
    else this.frame(session, bytes);
  }

  drained(connection: WebSocketConnection): void {
    const session = this.core.sessions.of(connection);
    if (session !== undefined) this.core.backPressure.drained(session);
  }

  closed(connection: WebSocketConnection, _code: number): void {
    const { core } = this;
    const session = core.sessions.remove(connection);
    if (session === undefined) return;
    core.counters.closed += 1;
    core.backPressure.forget(session);
    for (const subscription of core.subscriptions.of(session))
      core.subscriptions.close(subscription);
    // What its shards still answer is stored all the same; nobody is left to hear it.
    session.batches.clear();
  }

  private request(
    session: Session,
    dialect: Dialect,
    decoded: DecodedRequest,
    bytes: number,
  ): void {
    const { core } = this;
    const responder = new Responder(session, dialect, decoded.id, core.outbox, core.counters);
    if ('refusal' in decoded) {
      const { refusal } = decoded;
      // Nothing of a request that was not understood has been done.
      responder.refuseBody(refusalBody(refusal, false));
      if (refusal.code === 'BAD_FRAME' || refusal.code === 'UNKNOWN_REQUEST') this.strike(session);
      return;
    }
    const { request } = decoded;
    const messages = request.op === 'send' ? request.send.records.length : 0;
    const tooFast = session.checkRate(messages, bytes);
    if (tooFast !== undefined) responder.refuse(tooFast);
    else operate(core, request, responder);
  }

  private frame(session: Session, frame: Uint8Array): void {
    const intake = session.isAuthenticated ? this.take(session, frame) : notAuthenticated();
    if (intake === undefined) return;
    const { core } = this;
    const responder = new Responder(session, 'binary', idOf(frame), core.outbox, core.counters);
    responder.refuseBody(refusalBody(intake.refusal, false));
    if (intake.isBroken) this.strike(session);
  }

  private take(session: Session, frame: Uint8Array): Intake {
    const kind = frame[FRAME_KIND];
    if (kind === FRAME_SEND_BATCH) return this.batches.take(session, frame);
    if (kind === FRAME_SETTLE) {
      const tooFast = session.checkRate(0, frame.length);
      if (tooFast !== undefined) return { refusal: tooFast, isBroken: false };
      return this.settles.take(session, frame);
    }
    const text = kind === undefined ? 'the frame is empty' : `the frame has the kind ${kind}`;
    const hint = 'Kinds to the broker are 1 (CONTROL), 16 (SEND_BATCH) and 33 (SETTLE).';
    return { refusal: new SluiceError('BAD_FRAME', text, { hint }), isBroken: true };
  }

  /** @returns false when the connection was closed for sending too much before it had a token */
  private isWithinFirstBytes(session: Session, bytes: number): boolean {
    if (session.isAuthenticated) return true;
    session.bytesBeforeAuth += bytes;
    if (session.bytesBeforeAuth <= UNAUTHENTICATED_BYTES_MAX) return true;
    session.connection.close(CLOSE_POLICY, 'too many bytes before authentication');
    return false;
  }

  private strike(session: Session): void {
    if (session.strike())
      session.connection.close(CLOSE_POLICY, 'too many frames that are none of this protocol');
  }
}

function notAuthenticated(): Intake {
  const hint = 'Send a CONTROL or JSON hello with the token first.';
  const refusal = new SluiceError('UNAUTHENTICATED', 'the frame needs a token', { hint });
  return { refusal, isBroken: false };
}

/** The id that the answer to a binary frame carries: its correlation id, as far as it can be read. */
function idOf(frame: Uint8Array): GivenId {
  const kind = frame[FRAME_KIND];
  if (kind !== FRAME_SEND_BATCH && kind !== FRAME_SETTLE) return null;
  const at = kind === FRAME_SEND_BATCH ? SEND_CORRELATION_ID : SETTLE_CORRELATION_ID;
  return frame.length < at + 4 ? null : viewOf(frame).getUint32(at, true);
}
