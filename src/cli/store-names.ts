/** Names of topics and groups by their ids, gathered from snapshots and from the metadata records of a log. */
import type { InspectedRecord } from '../log/log-inspect.ts';
import type { SnapshotFacts } from './side-files.ts';

type Named = Readonly<Record<string, unknown>>;

export class StoreNames {
  private readonly topics = new Map<number, string>();
  private readonly groups = new Map<number, string>();

  learnSnapshot(facts: SnapshotFacts | undefined): void {
    for (const topic of facts?.topics ?? []) this.learnTopic(topic);
    for (const group of facts?.groups ?? []) this.learnGroup(group);
  }

  /** Takes in a metadata record; other kinds name nothing. */
  learn(record: InspectedRecord): void {
    if (record.type !== 'metadata') return;
    const value = asNamed(record.value);
    if (value['put'] === 'topic') this.learnTopic(asNamed(value['topic']));
    if (value['put'] === 'group') this.learnGroup(asNamed(value['group']));
  }

  /** The name, or null when nothing has told it. */
  topic(topicId: number): string | null {
    return this.topics.get(topicId) ?? null;
  }

  group(groupId: number): string | null {
    return this.groups.get(groupId) ?? null;
  }

  private learnTopic({ topicId, topic }: Named): void {
    if (typeof topicId === 'number' && typeof topic === 'string') this.topics.set(topicId, topic);
  }

  private learnGroup({ groupId, group }: Named): void {
    if (typeof groupId === 'number' && typeof group === 'string') this.groups.set(groupId, group);
  }
}

function asNamed(value: unknown): Named {
  return typeof value === 'object' && value !== null ? (value as Named) : {};
}
