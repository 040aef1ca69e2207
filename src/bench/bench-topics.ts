/** The topics of a run: made for it, with as many queues as were asked for, and asked where their queues end. */
import { SluiceError } from '../base/errors.ts';
import { TOPIC_QUEUES_MAX } from '../base/limits.ts';
import type { Client } from '../client/client.ts';
import type { JsonValue } from '../protocol/web/messages.ts';
import type { LoadTopic } from './load.ts';
import { QueueNumbers } from './producer-lanes.ts';

/** Makes topics named after the run; more queues than one topic may have are spread over several. */
export async function createTopics(
  client: Client,
  runId: string,
  queues: number,
): Promise<readonly LoadTopic[]> {
  const count = Math.ceil(queues / TOPIC_QUEUES_MAX);
  const topics: LoadTopic[] = [];
  for (let index = 0; index < count; index += 1) {
    const own = Math.min(TOPIC_QUEUES_MAX, queues - index * TOPIC_QUEUES_MAX);
    const topic = `${runId}-${String(index).padStart(3, '0')}`;
    const answer = await client.admin.createTopic({ topic, queues: own });
    topics.push({ topic, topicId: numberOf(answer['topicId'], 'topicId'), queues: own });
  }
  return topics;
}

/** One past the last offset of each queue, by running number. */
export async function endOffsets(
  client: Client,
  topics: readonly LoadTopic[],
): Promise<Float64Array> {
  const numbers = new QueueNumbers(topics);
  const ends = new Float64Array(numbers.count);
  for (const { topic, topicId } of topics) {
    const answer = await client.admin.topic(topic);
    const queues = answer['queues'];
    if (!Array.isArray(queues)) throw new SluiceError('BAD_FRAME', `${topic} has no queues`);
    for (const queue of queues as Readonly<Record<string, JsonValue>>[]) {
      const number = numbers.of(topicId, numberOf(queue['queueId'], 'queueId'));
      ends[number] = numberOf(queue['maxOffset'], 'maxOffset');
    }
  }
  return ends;
}

function numberOf(value: JsonValue | undefined, name: string): number {
  if (typeof value === 'number') return value;
  throw new SluiceError('BAD_FRAME', `the broker described a topic without ${name}`);
}
