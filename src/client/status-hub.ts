/** Status events to listeners and iterators; a slow reader loses the oldest, nobody is waited for. Browser-safe. */
import type { StatusEvent } from './types.ts';

/** Events that an iterator may be behind. */
const BACKLOG_MAX = 64;

export class StatusHub {
  private readonly listeners = new Set<(event: StatusEvent) => void>();

  /** Tells everybody. */
  readonly emit = (event: StatusEvent): void => {
    for (const listener of [...this.listeners]) listener(event);
  };

  /** @returns stops it */
  listen(listener: (event: StatusEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Events from now on, until `closed` has come. */
  iterate(): AsyncIterableIterator<StatusEvent> {
    const backlog: StatusEvent[] = [];
    let wake: (() => void) | undefined;
    let isOver = false;
    const stop = this.listen((event) => {
      if (backlog.length === BACKLOG_MAX) backlog.shift();
      backlog.push(event);
      wake?.();
    });
    const next = async (): Promise<IteratorResult<StatusEvent>> => {
      while (backlog.length === 0 && !isOver) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const value = isOver ? undefined : backlog.shift();
      if (value === undefined) return { done: true, value: undefined };
      if (value.type === 'closed') {
        isOver = true;
        stop();
      }
      return { done: false, value };
    };
    const iterator: AsyncIterableIterator<StatusEvent> = {
      next,
      return: () => {
        isOver = true;
        stop();
        wake?.();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }
}
