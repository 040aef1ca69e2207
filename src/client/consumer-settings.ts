/** The options of a consumer, checked and with their defaults. Browser-safe. */
import { checkArgument } from '../base/assert.ts';
import { CREDIT_MAX, LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN } from '../base/limits.ts';
import { checkGroupName, checkTopicName } from '../base/names.ts';
import type { SqlFilter } from '../protocol/subscription-filter.ts';
import type { StartFrom } from '../protocol/web/messages.ts';
import { range } from './producer-settings.ts';
import type { ConsumerOptions } from './types.ts';

export type ConsumerSettings = {
  readonly topic: string;
  readonly group: string;
  readonly filter: string | SqlFilter | undefined;
  /** Tags of the filter; undefined: all messages, or those that the broker selects. */
  readonly tags: ReadonlySet<string> | undefined;
  readonly from: StartFrom | undefined;
  readonly credit: number;
  readonly leaseMs: number;
  readonly ordered: boolean;
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
  checkFilter(filter);
  return {
    topic,
    group,
    filter,
    tags: typeof filter === 'string' ? filterTags(filter) : undefined,
    from: options.from,
    credit: range('credit', options.credit ?? CREDIT_DEFAULT, 1, CREDIT_MAX),
    leaseMs: range('leaseMs', options.leaseMs ?? LEASE_MS_DEFAULT, LEASE_MS_MIN, LEASE_MS_MAX),
    ordered: orderedOption(options.ordered),
    member: options.member ?? clientName,
    ackLingerMs: range('ackLingerMs', options.ackLingerMs ?? ACK_LINGER_MS_DEFAULT, 0, 1000),
  };
}

function orderedOption(ordered: boolean | undefined): boolean {
  checkArgument(ordered === undefined || typeof ordered === 'boolean', 'ordered is no boolean');
  return ordered === true;
}

function checkFilter(filter: unknown): void {
  if (filter === undefined || typeof filter === 'string') return;
  const isSql =
    typeof filter === 'object' &&
    filter !== null &&
    'sql' in filter &&
    typeof filter.sql === 'string';
  checkArgument(isSql, 'filter is a string of tags, or { sql: … }');
}

/** The tags of `a || b`; undefined for all messages. @source docs/PROTOCOL.md, section 1, "Filters" */
export function filterTags(filter: string): ReadonlySet<string> | undefined {
  const tags = filter
    .split('||')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
  return tags.length === 0 || tags.includes('*') ? undefined : new Set(tags);
}
