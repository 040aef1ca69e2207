/** Compiled filters by their expression: the few that are in use are compiled once, and no more than so many are kept. */
import { SluiceError } from '../base/errors.ts';
import { COMPILED_FILTERS_MAX } from '../base/limits.ts';
import { isSqlFilter, type SubscriptionFilter } from '../protocol/subscription-filter.ts';
import { type RecordMatcher, SqlMatcher, TagMatcher } from './record-matcher.ts';
import { parseTagExpression } from './tag-expression.ts';

/** RocketMQ's names of the languages; absent or empty is TAG. @source RocketMQ ExpressionType */
export const EXPRESSION_TAG = 'TAG';
export const EXPRESSION_SQL = 'SQL92';

export class CompiledFilters {
  private readonly entries = new Map<string, RecordMatcher | null>();
  private readonly entriesMax: number;

  constructor(entriesMax: number = COMPILED_FILTERS_MAX) {
    this.entriesMax = entriesMax;
  }

  get size(): number {
    return this.entries.size;
  }

  /**
   * The matcher of a subscription of RocketMQ's clients; null for all messages.
   *
   * @param type - TAG, SQL92, or absent for TAG
   * @throws INVALID_ARGUMENT for an expression that does not compile, or a language that is none: RocketMQ's answer to
   *   either is SUBSCRIPTION_PARSE_FAILED
   */
  compile(
    type: string | null | undefined,
    expression: string | null | undefined,
  ): RecordMatcher | null {
    const language = type === null || type === undefined || type === '' ? EXPRESSION_TAG : type;
    return this.cached(`${language} ${expression ?? ''}`, () =>
      compileFilter(language, expression),
    );
  }

  /**
   * The matcher of a subscription of our own dialects; null for all messages.
   *
   * @throws INVALID_ARGUMENT that points at what is wrong in an SQL filter
   */
  ofSubscription(filter: SubscriptionFilter): RecordMatcher | null {
    if (filter === null) return null;
    if (!isSqlFilter(filter)) return new TagMatcher(filter);
    return this.cached(`strict ${filter.sql}`, () => new SqlMatcher(filter.sql, true));
  }

  private cached(key: string, compile: () => RecordMatcher | null): RecordMatcher | null {
    const found = this.entries.get(key);
    const matcher = found === undefined ? compile() : found;
    // Taken out and put back, the order of the map is the order of use.
    this.entries.delete(key);
    this.entries.set(key, matcher);
    if (this.entries.size > this.entriesMax) {
      const oldest = this.entries.keys().next().value;
      if (oldest !== undefined) this.entries.delete(oldest);
    }
    return matcher;
  }
}

function compileFilter(
  language: string,
  expression: string | null | undefined,
): RecordMatcher | null {
  if (language === EXPRESSION_SQL) return new SqlMatcher(expression ?? '', false);
  if (language === EXPRESSION_TAG) {
    const tags = parseTagExpression(expression);
    return tags === null ? null : new TagMatcher(tags);
  }
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `the filter language ${JSON.stringify(language.slice(0, 40))} is not known`,
    { hint: `It is ${EXPRESSION_TAG} or ${EXPRESSION_SQL}.` },
  );
}
