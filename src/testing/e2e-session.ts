/** One WebSocket without any cleverness: JSON requests with their answers, binary frames as given, nothing is tried again. */
import { WebSocket } from 'ws';
import { SluiceError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import {
  decodeReceipt,
  newReceiptEntry,
  type ReceiptEntry,
  receiptCount,
  viewOf,
} from '../protocol/web/binary-codec.ts';
import { decodeControl } from '../protocol/web/control-codec.ts';
import { FRAME_CONTROL, FRAME_KIND, FRAME_RECEIPTS } from '../protocol/web/frames-layout.ts';

/** An answer or a message of a subscription, as it came. */
export type Frame = Readonly<Record<string, unknown>>;

/** A `fetched` answer may hold several of the largest messages. */
const FRAME_BYTES_MAX: number = 64 * MIB;

export class RawSession {
  readonly socket: WebSocket;
  /** Frames that answer no `ask`: messages of subscriptions, refusals of binary frames. */
  readonly frames: Frame[] = [];
  /** DELIVER frames as they came. */
  readonly deliveries: Uint8Array[] = [];
  /** Correlation ids of the SEND_BATCH frames that were stored. */
  readonly stored: number[] = [];
  /** Resolves with the close code; never rejects. */
  readonly closed: Promise<number>;
  private readonly waiting = new Map<number, (answer: Frame) => void>();
  private readonly entry: ReceiptEntry = newReceiptEntry();
  private lastId = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', (code) => {
        for (const answer of this.waiting.values()) answer({ op: 'closed', closeCode: code });
        this.waiting.clear();
        resolve(code);
      });
    });
    socket.on('error', () => {});
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.takeBinary(data);
      else this.take(JSON.parse(data.toString()) as Frame);
    });
  }

  /**
   * @param ws - of the ready event
   * @param localAddress - 127.0.0.x: connections are counted per address
   * @throws DISCONNECTED
   */
  static async open(ws: string, localAddress = '127.0.0.1'): Promise<RawSession> {
    const socket = new WebSocket(`${ws}/v1/ws`, {
      perMessageDeflate: false,
      maxPayload: FRAME_BYTES_MAX,
      localAddress,
    });
    const session = new RawSession(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', (cause) =>
        reject(new SluiceError('DISCONNECTED', cause.message, { cause })),
      );
    });
    return session;
  }

  /** Sends a request and resolves with its answer, whatever that is; `op` is `closed` when none will come. */
  ask(request: Frame): Promise<Frame> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve) => {
      if (this.socket.readyState !== WebSocket.OPEN) return resolve({ op: 'closed' });
      this.waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ ...request, id }));
    });
  }

  close(): void {
    this.socket.terminate();
  }

  private takeBinary(bytes: Uint8Array): void {
    const kind = bytes[FRAME_KIND];
    if (kind === FRAME_CONTROL) {
      const decoded = decodeControl(bytes);
      if (decoded.verdict !== 'ok') throw new Error(`a CONTROL frame is ${decoded.verdict}`);
      this.take(decoded.value as Frame);
    } else if (kind === FRAME_RECEIPTS) {
      const view = viewOf(bytes);
      for (let index = 0; index < receiptCount(view); index += 1) {
        decodeReceipt(view, index, this.entry);
        this.stored.push(this.entry.correlationId);
      }
    } else this.deliveries.push(bytes);
  }

  private take(frame: Frame): void {
    const answer = this.waiting.get(frame['id'] as number);
    if (answer === undefined) this.frames.push(frame);
    else {
      this.waiting.delete(frame['id'] as number);
      answer(frame);
    }
  }
}
