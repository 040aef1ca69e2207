/**
 * Things to do at a time, driven by the duty cycle and the injected clock: a binary heap of deadlines. Cancelling marks;
 * marked ones are swept when they are the majority, so memory stays with what is still wanted.
 */

/** One thing to do; `cancel` is harmless at any time. */
export class Deadline {
  readonly atMs: number;
  private action: (() => void) | undefined;
  private readonly onCancel: () => void;

  constructor(atMs: number, action: () => void, onCancel: () => void) {
    this.atMs = atMs;
    this.action = action;
    this.onCancel = onCancel;
  }

  get isPending(): boolean {
    return this.action !== undefined;
  }

  cancel(): void {
    if (this.action === undefined) return;
    this.action = undefined;
    this.onCancel();
  }

  run(): void {
    const action = this.action;
    this.action = undefined;
    action?.();
  }
}

/** Below this many, cancelled ones are not worth a sweep. */
const SWEEP_COUNT_MIN = 64;

export class Deadlines {
  private heap: Deadline[] = [];
  private cancelled = 0;

  /** Deadlines that wait. */
  get count(): number {
    return this.heap.length - this.cancelled;
  }

  /** Time of the first one; Infinity when there is none. Cancelled ones may count. */
  get nextAtMs(): number {
    return this.heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Calls `action` from the first `run` whose time is at or after `atMs`. */
  add(atMs: number, action: () => void): Deadline {
    const deadline = new Deadline(atMs, action, () => {
      this.cancelled += 1;
      if (this.cancelled > SWEEP_COUNT_MIN && this.cancelled * 2 > this.heap.length) this.sweep();
    });
    this.heap.push(deadline);
    this.rise(this.heap.length - 1);
    return deadline;
  }

  /** @returns how many were run */
  run(nowMs: number): number {
    let ran = 0;
    for (;;) {
      const first = this.heap[0];
      if (first === undefined || first.atMs > nowMs) return ran;
      this.removeFirst();
      if (first.isPending) {
        first.run();
        ran += 1;
      } else this.cancelled -= 1;
    }
  }

  private sweep(): void {
    this.heap = this.heap
      .filter((deadline) => deadline.isPending)
      .sort((one, other) => one.atMs - other.atMs);
    this.cancelled = 0;
  }

  private removeFirst(): void {
    const last = this.heap.pop() as Deadline;
    if (this.heap.length === 0) return;
    this.heap[0] = last;
    this.sink(0);
  }

  private rise(start: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.timeAt(parent) <= this.timeAt(index)) return;
      this.swap(parent, index);
      index = parent;
    }
  }

  private sink(start: number): void {
    let index = start;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= this.heap.length) return;
      const right = left + 1;
      const child =
        right < this.heap.length && this.timeAt(right) < this.timeAt(left) ? right : left;
      if (this.timeAt(index) <= this.timeAt(child)) return;
      this.swap(child, index);
      index = child;
    }
  }

  private timeAt(index: number): number {
    return (this.heap[index] as Deadline).atMs;
  }

  private swap(one: number, other: number): void {
    const deadline = this.heap[one] as Deadline;
    this.heap[one] = this.heap[other] as Deadline;
    this.heap[other] = deadline;
  }
}
