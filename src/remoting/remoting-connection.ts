/**
 * One connection of a RocketMQ client: how many of its requests are under way, whether it is read, and the requests that the
 * broker sends to it. Answers made in one turn of the event loop leave in one write. Main thread.
 */

import type { RingReader } from '../acceptor/back-pressure.ts';
import { SluiceError } from '../base/errors.ts';
import { CONNECTION_BUFFER_BYTES_MAX, IN_FLIGHT_REQUESTS_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import type { Command, CommandView, ReceivedCommand } from '../protocol/remoting/command.ts';
import { encodeInto } from '../protocol/remoting/command-encoder.ts';
import { FLAG_ONEWAY, FORM_JSON, type HeaderForm } from '../protocol/remoting/frame-layout.ts';
import { FrameSpace } from '../protocol/remoting/frame-space.ts';
import { type HostBytes, hostBytesOf, hostHex, NO_HOST } from '../protocol/remoting/host-bytes.ts';
import type { TcpCloseReason, TcpConnection } from '../transport/tcp.ts';
import type { SendLimit } from './send-limit.ts';

/** Why a connection is not read at the moment, beside those of session.ts. */
const PAUSE_WINDOW = 4;
/** Above this multiple of the budget a connection is closed: its peer takes nothing, and answers pile up. */
const CLOSE_PART = 3;
/** Bytes of answers that leave before the turn ends. */
const FLUSH_BYTES: number = 256 * KIB;
/** Requests to one client that it has not answered yet. */
const CALLS_MAX = 1024;

/** What the broker asks a client. */
export type ClientCall = {
  readonly code: number;
  readonly fields?: ReadonlyMap<string, string>;
  readonly body?: Uint8Array;
};

type Call = {
  readonly deadlineMs: number;
  readonly resolve: (answer: ReceivedCommand) => void;
  readonly reject: (error: SluiceError) => void;
};

/** Frames that lie one behind the other, and leave so. */
type Run = { readonly bytes: Uint8Array; readonly start: number; end: number };

export class RemotingConnection implements RingReader {
  readonly tcp: TcpConnection;
  /** Address and port of the client. */
  readonly bornHost: HostBytes;
  readonly bornHex: string;
  /** The same for people: `10.0.0.9:51234`. */
  readonly address: string;
  isClosed = false;
  /** Requests that are not answered yet, and of those the ones that wait for messages. */
  inFlight = 0;
  parked = 0;
  /** Undefined: nothing is limited. */
  readonly sendLimit: SendLimit | undefined;
  private readonly inFlightMax: number;
  private pauseReasons = 0;
  private readonly space: FrameSpace;
  private outbox: Run[] = [];
  private outboxBytes = 0;
  private readonly calls = new Map<number, Call>();
  private lastOpaque = 0;

  /** @param space - where its frames are written; shared, so that a quiet connection holds none */
  constructor(
    tcp: TcpConnection,
    inFlightMax: number = IN_FLIGHT_REQUESTS_MAX,
    space: FrameSpace = new FrameSpace(),
    sendLimit?: SendLimit,
  ) {
    this.tcp = tcp;
    this.space = space;
    this.sendLimit = sendLimit;
    this.inFlightMax = inFlightMax;
    this.address = `${tcp.remoteAddress}:${tcp.remotePort}`;
    this.bornHost = hostBytesOf(tcp.remoteAddress, tcp.remotePort) ?? NO_HOST;
    this.bornHex = hostHex(this.bornHost);
  }

  /** One more request; too many stop the reading until some are answered. */
  began(): void {
    this.inFlight += 1;
    if (this.inFlight - this.parked >= this.inFlightMax) this.pause(PAUSE_WINDOW);
  }

  /** One of them waits for messages, and takes no place in the window from here on. */
  parks(): void {
    this.parked += 1;
    this.resumeWithRoom();
  }

  ended(wasParked: boolean): void {
    this.inFlight -= 1;
    if (wasParked) this.parked -= 1;
    this.resumeWithRoom();
  }

  private resumeWithRoom(): void {
    if (this.inFlight - this.parked < this.inFlightMax / 2) this.resume(PAUSE_WINDOW);
  }

  pause(reason: number): boolean {
    const wasReading = this.pauseReasons === 0;
    this.pauseReasons |= reason;
    if (wasReading && !this.isClosed) this.tcp.pause();
    return wasReading;
  }

  resume(reason: number): void {
    const wasPaused = this.pauseReasons !== 0;
    this.pauseReasons &= ~reason;
    if (wasPaused && this.pauseReasons === 0 && !this.isClosed) this.tcp.resume();
  }

  /** Does more wait for the socket than should? */
  get isOverBudget(): boolean {
    return this.tcp.bufferedBytes() > CONNECTION_BUFFER_BYTES_MAX;
  }

  /** Sends a command with all others of this turn. @throws as `encodeCommand`; nothing is sent then */
  send(command: Command, form: HeaderForm): void {
    if (this.isClosed) return;
    const { space, outbox } = this;
    const start = encodeInto(space, command, form);
    const { bytes, end } = space;
    const last = outbox.at(-1);
    if (last === undefined) queueMicrotask(this.flush);
    if (last !== undefined && last.bytes === bytes && last.end === start) last.end = end;
    else outbox.push({ bytes, start, end });
    this.outboxBytes += end - start;
    // Only what was handed to the socket counts against the budget.
    if (this.outboxBytes > FLUSH_BYTES) this.flush();
  }

  /** Asks the client something that it does not answer. */
  tell(call: ClientCall): void {
    this.sendCall(call, FLAG_ONEWAY);
  }

  /** Asks the client and resolves with its answer. @throws DISCONNECTED, TIMEOUT, LIMIT_REACHED */
  ask(call: ClientCall, deadlineMs: number): Promise<ReceivedCommand> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) {
        reject(new SluiceError('DISCONNECTED', 'the client has closed its connection'));
        return;
      }
      if (this.calls.size >= CALLS_MAX) {
        const text = `the client has not answered ${CALLS_MAX} requests`;
        reject(new SluiceError('LIMIT_REACHED', text));
        return;
      }
      this.sendCall(call, 0);
      this.calls.set(this.lastOpaque, { deadlineMs, resolve, reject });
    });
  }

  /** An answer of the client; one that nobody waits for is dropped. */
  answered(command: CommandView): void {
    const call = this.calls.get(command.opaque);
    if (call === undefined) return;
    this.calls.delete(command.opaque);
    call.resolve(command.toCommand());
  }

  /** Ends the requests to the client that it has not answered in time. */
  failExpired(nowMs: number): void {
    this.failWhere(
      (call) => call.deadlineMs <= nowMs,
      new SluiceError('TIMEOUT', 'the client has not answered in time'),
    );
  }

  closed(): void {
    this.isClosed = true;
    this.outbox = [];
    const text = 'the client has closed its connection';
    this.failWhere(() => true, new SluiceError('DISCONNECTED', text));
  }

  close(reason: TcpCloseReason): void {
    this.tcp.end(reason);
  }

  private readonly flush = (): void => {
    const runs = this.outbox;
    this.outbox = [];
    this.outboxBytes = 0;
    if (this.isClosed || runs.length === 0) return;
    const { tcp } = this;
    // What the socket does not take at once would hold the whole piece, and with it the answers of others.
    const mustCopy = tcp.bufferedBytes() > 0;
    const send = ({ bytes, start, end }: Run): boolean => {
      const isPart = end - start < bytes.length;
      return tcp.send(mustCopy && isPart ? bytes.slice(start, end) : bytes.subarray(start, end));
    };
    if (runs.length === 1) send(runs[0] as Run);
    else
      tcp.cork(() => {
        for (const run of runs) send(run);
      });
    if (this.tcp.bufferedBytes() > CONNECTION_BUFFER_BYTES_MAX * CLOSE_PART)
      this.tcp.close('refused');
  };

  private failWhere(isMeant: (call: Call) => boolean, error: SluiceError): void {
    for (const [opaque, call] of this.calls) {
      if (!isMeant(call)) continue;
      this.calls.delete(opaque);
      call.reject(error);
    }
  }

  private sendCall({ code, fields, body }: ClientCall, flag: number): void {
    this.lastOpaque = (this.lastOpaque + 1) & 0x7fff_ffff;
    this.send({ code, opaque: this.lastOpaque, flag, fields, body }, FORM_JSON);
  }
}
