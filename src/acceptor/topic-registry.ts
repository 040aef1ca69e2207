/**
 * Topics by name and id: found, made on first use where that is allowed, made and deleted on request. Dead-letter topics
 * are made by the broker alone.
 */
import { SluiceError } from '../base/errors.ts';
import { GROUP_NAME_MAX, TOPIC_QUEUES_MAX } from '../base/limits.ts';
import { checkTopicName, DEAD_LETTER_PREFIX, RETRY_PREFIX } from '../base/names.ts';
import type { GroupRecord, TopicRecord, WhenFull } from '../protocol/shard-control.ts';
import { closestWord } from '../protocol/web/did-you-mean.ts';
import type { AcceptorConfig } from './acceptor-options.ts';
import { RecordRegistry } from './record-registry.ts';
import type { ShardLinks } from './shard-links.ts';

/** What can be chosen for a topic; what is left out has the broker's default. */
export type TopicSettings = {
  readonly queues?: number | undefined;
  readonly retentionMs?: number | undefined;
  readonly retentionBytes?: number | undefined;
  readonly whenFull?: WhenFull | undefined;
};

export class TopicRegistry {
  readonly records: RecordRegistry<TopicRecord>;
  private readonly config: AcceptorConfig;
  private readonly shardCount: number;

  constructor(config: AcceptorConfig, links: ShardLinks) {
    this.config = config;
    this.shardCount = links.count;
    this.records = new RecordRegistry<TopicRecord>(
      {
        noun: 'topic',
        countMax: config.topicsMax,
        idOf: (topic) => topic.topicId,
        nameOf: (topic) => topic.topic,
        put: (topic) => ({ op: 'putTopic', topic }),
        remove: (topicId) => ({ op: 'deleteTopic', topicId }),
      },
      links,
    );
  }

  find(name: string): TopicRecord | undefined {
    return this.records.find(name);
  }

  get(topicId: number): TopicRecord | undefined {
    return this.records.get(topicId);
  }

  /** The name of a topic that existed when its messages were stored. */
  nameOf(topicId: number): string {
    return this.records.get(topicId)?.topic ?? `#${topicId}`;
  }

  /**
   * The topic of this name.
   *
   * @param create - make it when there is none; undefined: as the broker is configured
   * @throws INVALID_NAME, TOPIC_NOT_FOUND, LIMIT_REACHED
   */
  async require(name: string, create?: boolean): Promise<TopicRecord> {
    const found = this.records.find(name);
    if (found !== undefined) return found;
    checkTopicName(name);
    if (!(create ?? this.config.autoCreateTopics) || name.startsWith(DEAD_LETTER_PREFIX))
      throw this.notFound(name);
    return this.records.create(name, (topicId) => this.recordOf(topicId, name, {}));
  }

  /** @throws TOPIC_NOT_FOUND, INVALID_NAME */
  existing(name: string): TopicRecord {
    const found = this.records.find(name);
    if (found !== undefined) return found;
    checkTopicName(name);
    throw this.notFound(name);
  }

  /**
   * Makes a topic with these settings; one that is there already with the same settings is fine.
   *
   * @throws INVALID_NAME, TOPIC_EXISTS, LIMIT_REACHED
   */
  async create(name: string, settings: TopicSettings): Promise<TopicRecord> {
    checkTopicName(name);
    if (name.startsWith(DEAD_LETTER_PREFIX)) {
      throw new SluiceError('INVALID_NAME', `names with ${DEAD_LETTER_PREFIX} are the broker's`, {
        hint: 'A dead-letter topic comes into being with the first dead letter of its group.',
      });
    }
    const made = await this.records.create(name, (topicId) =>
      this.recordOf(topicId, name, settings),
    );
    const wanted = this.recordOf(made.topicId, name, settings);
    if (JSON.stringify(made) === JSON.stringify(wanted)) return made;
    throw new SluiceError(
      'TOPIC_EXISTS',
      `the topic ${name} exists with ${JSON.stringify(shownSettings(made))}; asked for was ${JSON.stringify(shownSettings(wanted))}`,
    );
  }

  /** The topic for the dead letters of a group: a queue on every shard, so that each keeps its own. */
  createDeadLetter(group: GroupRecord): Promise<TopicRecord> {
    const name = `${DEAD_LETTER_PREFIX}${group.group}`;
    return this.records.create(name, (topicId) => ({
      ...this.recordOf(topicId, name, { queues: this.shardCount }),
      deadLetterOf: group.groupId,
    }));
  }

  /** The topic by which messages come back to a group whose members pull. */
  async createRetry(group: GroupRecord): Promise<TopicRecord> {
    const name = `${RETRY_PREFIX}${group.group}`;
    return this.records.create(name, (topicId) => this.recordOf(topicId, name, { queues: 1 }));
  }

  private recordOf(topicId: number, topic: string, settings: TopicSettings): TopicRecord {
    return {
      topicId,
      topic,
      queues: settings.queues ?? this.config.defaultTopicQueues,
      retentionMs: settings.retentionMs ?? null,
      retentionBytes: settings.retentionBytes ?? null,
      whenFull: settings.whenFull ?? 'refuse',
      deadLetterOf: null,
    };
  }

  private notFound(name: string): SluiceError {
    const names = this.records.all().map((topic) => topic.topic);
    const close = closestWord(name, names.slice(0, CLOSE_NAMES_MAX));
    const text = `the topic ${name} does not exist`;
    if (close === undefined) return new SluiceError('TOPIC_NOT_FOUND', text);
    return new SluiceError('TOPIC_NOT_FOUND', text, {
      hint: `Did you mean ${close}? Else create it with: sluice admin topics create ${name}`,
    });
  }
}

/** Names compared with one that was not found: a broker with many topics must not spend long on typing errors. */
const CLOSE_NAMES_MAX = 200;

function shownSettings(topic: TopicRecord): object {
  const { queues, retentionMs, retentionBytes, whenFull } = topic;
  return { queues, retentionMs, retentionBytes, whenFull };
}

if (DEAD_LETTER_PREFIX.length + GROUP_NAME_MAX > 255)
  throw new Error('topic-registry: the dead-letter topic of the longest group name has a name');
if (TOPIC_QUEUES_MAX < 1) throw new Error('topic-registry: a topic has a queue');
