/**
 * Both ends of handing over what was settled with a slave while it was alone: frame by frame, each after the one before was
 * logged, at the beginning of a stream. A slave that has nothing says so: its master waits for that before it delivers.
 */

import {
  decodeLogged,
  decodeSettledFrame,
  encodeLogged,
  encodeSettledFrame,
} from './settled-codec.ts';
import type { ShardDoor } from './shard-door.ts';
import type { Frame } from './transfer-codec.ts';

export type HandOverOptions = {
  readonly door: ShardDoor;
  readonly epoch: number;
  readonly session: number;
  /** Puts a frame behind those that wait to be sent. */
  readonly send: (frame: Uint8Array) => void;
};

/** The slave's end. */
export class HandOver {
  private readonly options: HandOverOptions;
  /** Number of the frame that is to be confirmed, or made. */
  private number = 0;
  private from = 0;
  private state: 'to-ask' | 'asked' | 'sent' | 'to-tell' | 'done' = 'to-ask';
  private isLast = false;
  private end = 0;

  constructor(options: HandOverOptions) {
    this.options = options;
  }

  /** Was the shard asked? Before, nothing of the master's log may come to it: it would not know that it is not alone any more. */
  get isAsked(): boolean {
    if (this.state === 'to-ask') this.ask();
    return this.state !== 'to-ask';
  }

  /** Records that were sent so far. */
  get records(): number {
    return this.from;
  }

  /** The master has said that it has all of it. */
  get isOver(): boolean {
    return this.state === 'done';
  }

  /** @returns work done */
  doWork(): number {
    if (this.state === 'to-ask') return this.ask();
    return this.state === 'to-tell' ? this.tell() : 0;
  }

  /** @param frame - a LOGGED frame */
  take(frame: Frame): 'taken' | 'wrong' {
    const logged = decodeLogged(frame);
    const { epoch, session } = this.options;
    if (logged === undefined || this.state !== 'sent') return 'wrong';
    if (logged.epoch !== epoch || logged.session !== session) return 'wrong';
    if (logged.number !== this.number) return 'wrong';
    this.end = Math.max(this.end, logged.position);
    this.number += 1;
    this.state = this.isLast ? 'to-tell' : 'to-ask';
    return 'taken';
  }

  private ask(): number {
    const { door, epoch, session, send } = this.options;
    const { from, number } = this;
    const isAsked = door.settledPage(from, ({ records, isLast }) => {
      this.isLast = isLast;
      this.from = from + records.length;
      this.state = 'sent';
      send(encodeSettledFrame({ epoch, session, number, records, isLast }));
    });
    if (isAsked) this.state = 'asked';
    return isAsked ? 1 : 0;
  }

  private tell(): number {
    if (!this.options.door.settledLogged(this.end)) return 0;
    this.state = 'done';
    return 1;
  }
}

/** The master's end. */
export class TakeOver {
  private readonly options: HandOverOptions & { readonly onAll: () => void };
  private number = 0;
  private isTaking = false;
  /** All of it is in the log. */
  isOver = false;

  constructor(options: HandOverOptions & { readonly onAll: () => void }) {
    this.options = options;
  }

  /** @param frame - a SETTLED frame @returns `taken`, `later`, or what is wrong with it */
  take(frame: Frame): string {
    const { door, epoch, session, send, onAll } = this.options;
    const settled = decodeSettledFrame(frame);
    if (settled === undefined || settled.epoch !== epoch || settled.session !== session)
      return 'a hand-over that cannot be';
    if (this.isTaking || this.isOver || settled.number !== this.number)
      return 'a hand-over out of turn';
    const { number, isLast } = settled;
    const isTaken = door.takeSettled(settled.records, (position) => {
      this.isTaking = false;
      this.number += 1;
      this.isOver = isLast;
      send(encodeLogged({ epoch, session, number, position }));
      if (isLast) onAll();
    });
    if (!isTaken) return 'later';
    this.isTaking = true;
    return 'taken';
  }
}
