/**
 * How a consumer says that it consumes: topics with their expressions, shared or each for itself. The members of a group must
 * agree, or each would lose what another one leaves out; here is what differs, in words. Pure.
 *
 * @source RocketMQ ConsumerData, SubscriptionData
 */
import { RETRY_PREFIX } from '../base/names.ts';

export type MessageModel = 'CLUSTERING' | 'BROADCASTING';

/** What a consumer reads of one topic. */
export type TopicSubscription = {
  readonly topic: string;
  /** `TAG` or `SQL92`. */
  readonly expressionType: string;
  /** `*`, `a || b`, or SQL. */
  readonly expression: string;
  /** Chosen by the client: milliseconds by its clock. */
  readonly version: number;
};

export type ConsumerTerms = {
  readonly consumeType: string;
  readonly messageModel: MessageModel;
  readonly fromWhere: string;
  /** By topic. */
  readonly subscriptions: ReadonlyMap<string, TopicSubscription>;
};

/** Groups of RocketMQ's own tools and services: each member is on an errand of its own. */
const SYSTEM_GROUPS: ReadonlySet<string> = new Set([
  ...['TOOLS_CONSUMER', 'FILTERSRV_CONSUMER', 'SELF_TEST_C_GROUP', 'CID_ONS-HTTP-PROXY'],
  ...['CID_ONSAPI_PULL', 'CID_ONSAPI_PERMISSION', 'CID_ONSAPI_OWNER'],
]);
const SYSTEM_PREFIX = 'CID_RMQ_SYS_';
/** Topics that a difference names one by one. */
const SHOWN_TOPICS_MAX = 8;
/** Characters of an expression that a difference shows. */
const SHOWN_EXPRESSION_MAX = 200;

/** Need its members not agree? */
export function isSystemGroup(group: string): boolean {
  return SYSTEM_GROUPS.has(group) || group.startsWith(SYSTEM_PREFIX);
}

/**
 * What differs between the terms of a group and those of a member that comes to it, in words; undefined when they agree. The
 * order of tags, versions and the group's retry topic do not count.
 */
export function termsDifference(theirs: ConsumerTerms, own: ConsumerTerms): string | undefined {
  const parts: string[] = [];
  if (theirs.messageModel !== own.messageModel)
    parts.push(`the group is ${theirs.messageModel} and this member ${own.messageModel}`);
  const topics = [...new Set([...theirs.subscriptions.keys(), ...own.subscriptions.keys()])]
    .filter((topic) => !topic.startsWith(RETRY_PREFIX))
    .sort();
  const differing = topics
    .map((topic) =>
      topicDifference(topic, theirs.subscriptions.get(topic), own.subscriptions.get(topic)),
    )
    .filter((text) => text !== undefined);
  parts.push(...differing.slice(0, SHOWN_TOPICS_MAX));
  if (differing.length > SHOWN_TOPICS_MAX)
    parts.push(`and ${differing.length - SHOWN_TOPICS_MAX} more topics`);
  return parts.length === 0 ? undefined : parts.join('; ');
}

/** One text for all terms that agree. */
export function termsKey({ messageModel, subscriptions }: ConsumerTerms): string {
  const topics = [...subscriptions.values()]
    .filter(({ topic }) => !topic.startsWith(RETRY_PREFIX))
    .map((subscription) => `${subscription.topic} ${canonical(subscription)}`);
  return [messageModel, ...topics.sort()].join('\n');
}

function topicDifference(
  topic: string,
  theirs: TopicSubscription | undefined,
  own: TopicSubscription | undefined,
): string | undefined {
  const [group, member] = [theirs, own].map((one) => (one === undefined ? '' : canonical(one)));
  if (group === member) return undefined;
  if (member === '') return `the group reads ${topic} (${shown(group)}) and this member does not`;
  if (group === '') return `only this member reads ${topic} (${shown(member)})`;
  return `the group reads ${topic} with ${shown(group)} and this member with ${shown(member)}`;
}

/** One text for all ways to write the same. */
function canonical({ expressionType, expression }: TopicSubscription): string {
  if (expressionType !== 'TAG' && expressionType !== '')
    return `${expressionType} ${expression.trim()}`;
  const tags = expression
    .split('||')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
  return tags.length === 0 || tags.includes('*') ? '*' : [...new Set(tags)].sort().join(' || ');
}

function shown(text: string | undefined): string {
  const whole = text ?? '';
  return JSON.stringify(
    whole.length > SHOWN_EXPRESSION_MAX ? `${whole.slice(0, SHOWN_EXPRESSION_MAX)}…` : whole,
  );
}
