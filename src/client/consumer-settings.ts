/** The options of a consumer, checked and with their defaults. Browser-safe. */
import { checkArgument } from '../base/assert.ts';
import { CREDIT_MAX, LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN } from '../base/limits.ts';
import { checkGroupName, checkTopicName } from '../base/names.ts';
import type { StartFrom } from '../protocol/web/messages.ts';
import { range } from './producer-settings.ts';
import type { ConsumerOptions } from './types.ts';

export type ConsumerSettings = {
  readonly topic: string;
  readonly group: string;
  readonly filter: string | undefined;
  /** Tags of the filter; undefined: all messages. */
  readonly tags: ReadonlySet<string> | undefined;
  readonly from: StartFrom | undefined;
  readonly credit: number;
  readonly leaseMs: number;
  readonly member: string | undefined;
  readonly ackLingerMs: number;
};

const CREDIT_DEFAULT = 1000;
const ACK_LINGER_MS_DEFAULT = 1;

/** @throws INVALID_ARGUMENT, INVALID_NAME */
export function consumerSettings(
  options: ConsumerOptions,
  clientName: string | undefined,
): ConsumerSettings {
  checkArgument(
    typeof options === 'object' && options !== null,
    'consumer takes an object with topic and group',
  );
  const { topic, group, filter } = options;
  checkTopicName(topic);
  checkGroupName(group);
  checkArgument(filter === undefined || typeof filter === 'string', 'filter is no string');
  return {
    topic,
    group,
    filter,
    tags: filterTags(filter),
    from: options.from,
    credit: range('credit', options.credit ?? CREDIT_DEFAULT, 1, CREDIT_MAX),
    leaseMs: range('leaseMs', options.leaseMs ?? LEASE_MS_DEFAULT, LEASE_MS_MIN, LEASE_MS_MAX),
    member: options.member ?? clientName,
    ackLingerMs: range('ackLingerMs', options.ackLingerMs ?? ACK_LINGER_MS_DEFAULT, 0, 1000),
  };
}

/** The tags of `a || b`; undefined for all messages. @source docs/PROTOCOL.md, section 1, "Filters" */
export function filterTags(filter: string | undefined): ReadonlySet<string> | undefined {
  if (filter === undefined) return undefined;
  const tags = filter
    .split('||')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
  return tags.length === 0 || tags.includes('*') ? undefined : new Set(tags);
}
