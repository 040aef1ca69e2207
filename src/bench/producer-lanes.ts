/** Which queues each producer sends to: every queue has a producer, and a producer as few queues as that allows. */
import type { LoadTopic } from './load.ts';
import type { Lane } from './prepared-connection.ts';

/** All queues of the topics, in the order of their running numbers. */
export function allLanes(topics: readonly LoadTopic[]): readonly Lane[] {
  return topics.flatMap(({ topicId, queues }) =>
    Array.from({ length: queues }, (_, queueId) => ({ topicId, queueId })),
  );
}

/** The lanes of one producer. */
export function lanesOf(
  topics: readonly LoadTopic[],
  producer: number,
  producersInAll: number,
): readonly Lane[] {
  const lanes = allLanes(topics);
  const own = lanes.filter((_, index) => index % producersInAll === producer);
  // More producers than queues: some share one.
  return own.length > 0 ? own : lanes.slice(producer % lanes.length, (producer % lanes.length) + 1);
}

/** The running number of a queue over all topics. */
export class QueueNumbers {
  private readonly firstOf = new Map<number, number>();
  readonly count: number;

  constructor(topics: readonly LoadTopic[]) {
    let first = 0;
    for (const { topicId, queues } of topics) {
      this.firstOf.set(topicId, first);
      first += queues;
    }
    this.count = first;
  }

  /** @returns -1 for a topic that is not of this run */
  of(topicId: number, queueId: number): number {
    const first = this.firstOf.get(topicId);
    return first === undefined ? -1 : first + queueId;
  }
}
