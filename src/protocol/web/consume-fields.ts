/**
 * The fields that say what a group reads: filter, starting point, target of a seek. Shared by the op `subscribe`, the op
 * `seek`, HTTP polls and `/api`. Browser-safe.
 */
import { SluiceError } from '../../base/errors.ts';
import {
  FILTER_TAGS_MAX,
  SQL_FILTER_LENGTH_MAX,
  TAG_BYTES_MAX,
  TOPIC_QUEUES_MAX,
} from '../../base/limits.ts';
import { textBytes } from '../batch/text-bytes.ts';
import type { StartPoint } from '../shard-control.ts';
import type { SqlFilter, SubscriptionFilter } from '../subscription-filter.ts';
import { FieldReader, isFields, shown } from './field-reader.ts';

/** A date, or a date and time with its zone: a time without one would mean something else on each machine. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;
const QUEUE_ID = /^(0|[1-9]\d{0,4})$/;
const POINTS =
  '"earliest", "latest", milliseconds since 1970, or an ISO 8601 time such as "2026-01-31T09:30:00Z"';

/**
 * Parses `a || b || c`.
 *
 * @returns the tags once each in ascending order, so that equal filters look equal; null for all messages
 * @throws INVALID_ARGUMENT
 */
export function parseFilter(text: string | undefined): readonly string[] | null {
  if (text === undefined || text.trim() === '' || text.trim() === '*') return null;
  const tags = text.split('||', FILTER_TAGS_MAX + 1).map((tag) => tag.trim());
  if (tags.length > FILTER_TAGS_MAX) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `the filter names more than ${FILTER_TAGS_MAX} tags`,
      { hint: 'Use fewer tags, or subscribe to all messages and choose in the consumer.' },
    );
  }
  for (const tag of tags) {
    if (tag === '' || tag === '*') {
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `the filter ${shown(text)} has ${tag === '' ? 'an empty tag' : 'a * beside other tags'}`,
        { hint: 'Write tags as: a || b || c. A single * or no filter means all messages.' },
      );
    }
    if (textBytes(tag) > TAG_BYTES_MAX) {
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `the tag ${shown(tag)} has more than ${TAG_BYTES_MAX} bytes`,
      );
    }
  }
  return [...new Set(tags)].sort();
}

/**
 * The field `filter`: tags as text, or `{"sql": …}`. What the SQL says is for who compiles it.
 *
 * @throws INVALID_ARGUMENT
 */
export function parseFilterField(value: unknown): SubscriptionFilter {
  if (value === undefined || typeof value === 'string') return parseFilter(value);
  if (isFields(value)) {
    const reader = new FieldReader(value, 'filter').allow(['sql']);
    return parseSqlFilter(reader.text('sql'));
  }
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `the field "filter" is ${shown(value)}, but must be tags such as "created || paid", or {"sql": "price > 10.0"}`,
  );
}

/** @throws INVALID_ARGUMENT */
export function parseSqlFilter(text: string): SqlFilter {
  const sql = text.trim();
  if (sql.length > 0 && sql.length <= SQL_FILTER_LENGTH_MAX) return { sql };
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `the SQL filter has ${sql.length} characters, but must have 1 to ${SQL_FILTER_LENGTH_MAX}`,
    { hint: 'For all messages give no filter.' },
  );
}

/** @throws INVALID_ARGUMENT */
export function parseStartPoint(value: unknown, field: string): StartPoint {
  if (value === 'earliest' || value === 'latest') return { kind: value };
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)
    return { kind: 'time', epochMs: value };
  if (typeof value === 'string' && ISO_TIME.test(value)) {
    const epochMs = Date.parse(value);
    if (Number.isSafeInteger(epochMs) && epochMs >= 0) return { kind: 'time', epochMs };
  }
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `the field ${JSON.stringify(field)} is ${shown(value)}, but must be ${POINTS}`,
  );
}

/** As `parseStartPoint`, or an object of offsets by queue id. @throws INVALID_ARGUMENT */
export function parseSeekTarget(value: unknown, field: string): StartPoint {
  if (!isFields(value)) return parseStartPoint(value, field);
  const offsets = Object.create(null) as Record<string, number>;
  const names = Object.keys(value);
  for (const name of names) {
    const offset = value[name];
    const isOffset = typeof offset === 'number' && Number.isSafeInteger(offset) && offset >= 0;
    if (!QUEUE_ID.test(name) || Number(name) >= TOPIC_QUEUES_MAX || !isOffset) {
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `the field ${JSON.stringify(field)} has ${shown(name)}: ${shown(offset)}, but must map queue ids to offsets`,
        { hint: 'Write it as {"0": 120, "3": 88}; queues that are not named stay as they are.' },
      );
    }
    offsets[name] = offset;
  }
  if (names.length === 0) {
    throw new SluiceError('INVALID_ARGUMENT', `the field ${JSON.stringify(field)} names no queue`);
  }
  return { kind: 'offsets', offsets };
}
