/**
 * What the checker remembers of messages and queues. Sized for millions: offsets live in chunks instead of a map entry
 * each, and everything else is found by one lookup.
 */

/** The best evidence about one message. */
export type MessageState = {
  readonly id: string;
  readonly producer: ProducerState;
  readonly topic: string;
  /** Order of calls; -1 without. */
  readonly seq: number;
  readonly epoch: number;
  readonly dedup: boolean;
  /** -1 without. */
  readonly crc: number;
  /** Time of the first invoke. */
  readonly invokeT: number;
  invokes: number;
  oks: number;
  infos: number;
  fails: number;
  /** Time of the first proof that it is stored, an ack or a delivery; 0 without. */
  evidenceT: number;
  /** Distinct slots it was seen at. */
  slots: number;
  /** Slot it was last seen at. */
  queue: QueueState | undefined;
  off: number;
  delivered: boolean;
  /** Delivered to the group that drains. */
  drained: boolean;
  lost: boolean;
};

/** A producer; the two last fields belong to the scan of one queue. */
export type ProducerState = {
  readonly name: string;
  scannedQueue: QueueState | undefined;
  scannedLast: MessageState | undefined;
};

const CHUNK_OFFSETS = 1024;

/** Offset → message, sparse. */
export class SlotTable {
  private readonly chunks: Map<number, (MessageState | undefined)[]> = new Map();

  get(off: number): MessageState | undefined {
    return this.chunks.get(Math.floor(off / CHUNK_OFFSETS))?.[off % CHUNK_OFFSETS];
  }

  /** @param message - undefined: nobody knows what is there */
  set(off: number, message: MessageState | undefined): void {
    const index = Math.floor(off / CHUNK_OFFSETS);
    let chunk = this.chunks.get(index);
    if (chunk === undefined) {
      chunk = new Array<MessageState | undefined>(CHUNK_OFFSETS).fill(undefined);
      this.chunks.set(index, chunk);
    }
    chunk[off % CHUNK_OFFSETS] = message;
  }

  /** Messages in the order of their offsets. */
  *inOrder(): Generator<[off: number, message: MessageState]> {
    for (const index of [...this.chunks.keys()].sort((a, b) => a - b)) {
      const chunk = this.chunks.get(index) ?? [];
      for (let place = 0; place < chunk.length; place += 1) {
        const message = chunk[place];
        if (message !== undefined) yield [index * CHUNK_OFFSETS + place, message];
      }
    }
  }
}

/** Offset → number, sparse; 0 where nothing was set. */
export class OffsetNumbers {
  private readonly chunks: Map<number, Float64Array> = new Map();

  get(off: number): number {
    return this.chunks.get(Math.floor(off / CHUNK_OFFSETS))?.[off % CHUNK_OFFSETS] ?? 0;
  }

  set(off: number, value: number): void {
    const index = Math.floor(off / CHUNK_OFFSETS);
    let chunk = this.chunks.get(index);
    if (chunk === undefined) {
      chunk = new Float64Array(CHUNK_OFFSETS);
      this.chunks.set(index, chunk);
    }
    chunk[off % CHUNK_OFFSETS] = value;
  }
}

/** The highest offset known to be stored, over time: rising in both columns. */
export class OffsetTrail {
  private readonly times: number[] = [];
  private readonly offsets: number[] = [];

  add(t: number, off: number): void {
    if (off <= this.highest()) return;
    this.times.push(t);
    this.offsets.push(off);
  }

  /** -1 when none is known. */
  highest(): number {
    return this.offsets.at(-1) ?? -1;
  }

  /** The highest offset known before `t`; -1 without. Looks back from the end, where the answer nearly always is. */
  highestBefore(t: number): number {
    let step = 1;
    let low = this.times.length;
    while (low > 0 && (this.times[Math.max(0, low - step)] as number) >= t) {
      low = Math.max(0, low - step);
      step *= 2;
    }
    let high = low;
    low = Math.max(0, low - step);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.times[middle] as number) < t) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? -1 : (this.offsets[low - 1] as number);
  }

  /** What was learned since `t` is not certain any more. */
  forgetSince(t: number): void {
    while (this.times.length > 0 && (this.times.at(-1) as number) >= t) {
      this.times.pop();
      this.offsets.pop();
    }
  }
}

/** One queue of one topic. */
export class QueueState {
  readonly topic: string;
  readonly q: number;
  readonly slots: SlotTable = new SlotTable();
  /** When the message of each slot was first seen there. */
  readonly placedTimes: OffsetNumbers = new OffsetNumbers();
  readonly trail: OffsetTrail = new OffsetTrail();
  highestOffset = -1;
  /** Fault → lowest offset it took legally. */
  readonly lostBy: Map<number, number> = new Map();

  constructor(topic: string, q: number) {
    this.topic = topic;
    this.q = q;
  }

  toString(): string {
    return `${this.topic}/${this.q}`;
  }
}

/** Topic and number → queue, without building strings. */
export class QueueTable {
  private readonly topics: Map<string, Map<number, QueueState>> = new Map();

  get(topic: string, q: number): QueueState {
    let queues = this.topics.get(topic);
    if (queues === undefined) {
      queues = new Map();
      this.topics.set(topic, queues);
    }
    let queue = queues.get(q);
    if (queue === undefined) {
      queue = new QueueState(topic, q);
      queues.set(q, queue);
    }
    return queue;
  }

  *all(): Generator<QueueState> {
    for (const queues of this.topics.values()) yield* queues.values();
  }
}

/**
 * Times in which a loss is allowed: with ASYNC_FLUSH, a power loss may take what became known at most `windowUs` before
 * it. Without such modes there is no window and nothing is excused.
 */
export class LossWindows {
  private readonly kinds: ReadonlySet<string>;
  private readonly windowUs: number;
  private readonly faultTimes: number[] = [];

  constructor(kinds: readonly string[], windowUs: number) {
    this.kinds = new Set(kinds);
    this.windowUs = windowUs;
  }

  /** Takes a fault in. @returns the time since which nothing is certain; undefined when this kind loses nothing */
  add(kind: string, t: number): number | undefined {
    if (!this.kinds.has(kind)) return undefined;
    this.faultTimes.push(t);
    return t - this.windowUs;
  }

  /** The fault that may have taken what became known at `t`; 0 without. */
  faultCovering(t: number): number {
    for (const faultT of this.faultTimes) {
      if (t <= faultT && t >= faultT - this.windowUs) return faultT;
    }
    return 0;
  }
}
