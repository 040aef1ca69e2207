/**
 * Process entry: the front door with nothing behind it, the loopback limit of a measurement. A SEND_BATCH frame is answered
 * with its 32 bytes of receipt, those of one turn of the event loop in one frame, as a broker does; a text frame with a
 * number is answered with frames of that size for as long as the socket takes them. It stores nothing.
 */

import { FRAME_BYTES_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import { DURABILITY_MEMORY } from '../protocol/envelope-layout.ts';
import {
  decodeSendBatchHeader,
  encodeReceipt,
  encodeReceiptsHeader,
  newReceiptEntry,
  newSendBatchHeader,
  receiptsBytes,
  viewOf,
} from '../protocol/web/binary-codec.ts';
import { openFrontDoor, type TransportChoice } from '../transport/front-door.ts';
import type {
  FrontDoorLimits,
  WebSocketConnection,
  WebSocketHandler,
} from '../transport/transport.ts';

const LIMITS: FrontDoorLimits = {
  frameBytesMax: FRAME_BYTES_MAX,
  httpBodyBytesMax: KIB,
  connectionsMax: 1024,
  connectionsPerAddressMax: 1024,
  requestTimeoutMs: 10_000,
  idleTimeoutSeconds: 120,
  controlFramesPerSecondMax: 1000,
};
/** Bytes that may wait for one socket while it is poured into. */
const POUR_BYTES_MAX: number = 1024 * KIB;
/** Receipts that one turn can gather. */
const RECEIPTS_MAX = 4096;

class EchoHandler implements WebSocketHandler {
  private readonly header = newSendBatchHeader();
  private readonly entry = { ...newReceiptEntry(), durability: DURABILITY_MEMORY };
  private readonly frame = new Uint8Array(receiptsBytes(RECEIPTS_MAX));
  private readonly unanswered = new Map<WebSocketConnection, number[]>();
  private readonly poured = new Map<WebSocketConnection, Uint8Array>();
  private isScheduled = false;

  open(_connection: WebSocketConnection): void {}

  binary(connection: WebSocketConnection, bytes: Uint8Array): void {
    if (decodeSendBatchHeader(viewOf(bytes), this.header) !== 'ok') return;
    const ids = this.unanswered.get(connection);
    if (ids === undefined) this.unanswered.set(connection, [this.header.correlationId]);
    else ids.push(this.header.correlationId);
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => this.answerAll());
  }

  text(connection: WebSocketConnection, text: string): void {
    const bytes = Number(text);
    if (!(bytes > 0 && bytes <= FRAME_BYTES_MAX)) return;
    this.poured.set(connection, new Uint8Array(bytes));
    this.pour(connection);
  }

  drained(connection: WebSocketConnection): void {
    this.pour(connection);
  }

  closed(connection: WebSocketConnection, _code: number): void {
    this.unanswered.delete(connection);
    this.poured.delete(connection);
  }

  private pour(connection: WebSocketConnection): void {
    const frame = this.poured.get(connection);
    if (frame === undefined) return;
    connection.cork(() => {
      let sent = 0;
      while (sent < POUR_BYTES_MAX && connection.bufferedBytes() < POUR_BYTES_MAX) {
        connection.sendBinary(frame);
        sent += frame.length;
      }
    });
    // All of it was taken at once: nothing will drain.
    if (connection.bufferedBytes() === 0) setImmediate(() => this.pour(connection));
  }

  private answerAll(): void {
    this.isScheduled = false;
    for (const [connection, ids] of this.unanswered) {
      this.unanswered.delete(connection);
      for (let first = 0; first < ids.length; first += RECEIPTS_MAX)
        this.answer(connection, ids.slice(first, first + RECEIPTS_MAX));
    }
  }

  private answer(connection: WebSocketConnection, ids: readonly number[]): void {
    const view = viewOf(this.frame);
    encodeReceiptsHeader(view, ids.length);
    for (const [index, id] of ids.entries()) {
      this.entry.correlationId = id;
      encodeReceipt(view, index, this.entry);
    }
    connection.sendBinary(this.frame.subarray(0, receiptsBytes(ids.length)));
  }
}

async function run(transport: TransportChoice): Promise<void> {
  const door = await openFrontDoor(transport, {
    host: '127.0.0.1',
    port: 0,
    webSocketPath: '/v1/ws',
    limits: LIMITS,
    webSocket: new EchoHandler(),
    http: async () => ({ status: 404, body: '' }),
    admit: () => undefined,
  });
  const ready = {
    event: 'ready',
    ws: `ws://127.0.0.1:${door.port}/v1/ws`,
    transport: door.transport,
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  process.once('SIGTERM', () => void door.close().then(() => process.exit(0)));
}

await run((process.argv[2] ?? 'auto') as TransportChoice);
