/** Sends a log, run by run, over one connection: no further than allowed, and no more at a time than the window. */
import { setU64 } from '../base/bytes.ts';
import type { ByteLink } from './byte-link.ts';
import type { LogSource } from './log-source.ts';
import { sealFrame } from './transfer-codec.ts';
import * as layout from './transfer-layout.ts';

/** Bytes that may be sent and not confirmed. */
export const WINDOW_BYTES: number = 8 * layout.RUN_BYTES_MAX;
/** Milliseconds between two frames on a quiet connection. */
const BEAT_INTERVAL_MS = 500;
/** Runs of one turn, so that others have theirs. */
const RUNS_PER_TURN = 16;

export type SendResult = number | 'gone' | 'damaged';

export class RunSender {
  /** Everything below was sent on this connection, or was at the other end when it began. */
  sent: number;
  private readonly link: ByteLink;
  private readonly source: LogSource;
  private readonly epoch: number;
  private readonly session: number;
  private bytes: Uint8Array = new Uint8Array(layout.DATA_RUN + layout.RUN_BYTES_TARGET);
  private view: DataView = new DataView(this.bytes.buffer);
  /** A frame that found the connection full: its bytes of log; -1: none. */
  private unsentRun = -1;
  private sentAtMs: number = Number.NEGATIVE_INFINITY;
  private toldCommit = -1;
  private toldEnd = -1;

  constructor(options: {
    readonly link: ByteLink;
    readonly source: LogSource;
    readonly epoch: number;
    readonly session: number;
    readonly position: number;
  }) {
    this.link = options.link;
    this.source = options.source;
    this.epoch = options.epoch;
    this.session = options.session;
    this.sent = options.position;
  }

  /**
   * @param end - safe here: nothing behind it is sent
   * @param acked - confirmed by the other end
   * @returns frames sent
   */
  doWork(nowMs: number, end: number, commit: number, acked: number): SendResult {
    let frames = 0;
    while (frames < RUNS_PER_TURN) {
      if (this.unsentRun < 0) {
        const run = this.sent - acked < WINDOW_BYTES ? this.source.read(this.sent, end) : 'none';
        if (run === 'gone' || run === 'damaged') return run;
        if (run === 'none') return frames + this.beat(nowMs, end, commit);
        this.write(run);
      }
      if (!this.transmit(nowMs, end, commit)) return frames;
      frames += 1;
    }
    return frames;
  }

  /** Tells positions when they have moved or nothing was sent for some time: the other end must know that it is not alone. */
  private beat(nowMs: number, end: number, commit: number): number {
    const isNews = commit > this.toldCommit || end > this.toldEnd;
    if (!isNews && nowMs - this.sentAtMs < BEAT_INTERVAL_MS) return 0;
    this.write(0);
    return this.transmit(nowMs, end, commit) ? 1 : 0;
  }

  private write(run: number): void {
    const length = layout.DATA_RUN + run;
    if (length > this.bytes.length) {
      this.bytes = new Uint8Array(length);
      this.view = new DataView(this.bytes.buffer);
    }
    this.bytes.set(this.source.bytes.subarray(0, run), layout.DATA_RUN);
    this.unsentRun = run;
  }

  private transmit(nowMs: number, end: number, commit: number): boolean {
    const { bytes, view, unsentRun } = this;
    view.setUint32(layout.DATA_EPOCH, this.epoch, true);
    view.setUint32(layout.DATA_SESSION, this.session, true);
    setU64(view, layout.DATA_POSITION, this.sent);
    setU64(view, layout.DATA_COMMIT, commit);
    setU64(view, layout.DATA_END, end);
    const length = layout.DATA_RUN + unsentRun;
    sealFrame(bytes, view, layout.DATA, length);
    if (!this.link.send(bytes.subarray(0, length))) return false;
    this.sent += unsentRun;
    this.unsentRun = -1;
    this.sentAtMs = nowMs;
    this.toldCommit = commit;
    this.toldEnd = end;
    return true;
  }
}
