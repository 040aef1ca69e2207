/**
 * Which messages a pull wants: by the expression that it brings, or by what its group's last heartbeat said. Expressions that
 * were compiled are kept, because the same one comes with every pull.
 *
 * @source RocketMQ PullMessageProcessor, FilterAPI
 */
import { SluiceError } from '../base/errors.ts';
import { EXPRESSION_MAX } from '../base/limits.ts';
import { CompiledFilters } from '../filter/compiled-filters.ts';
import { PULL_SUBSCRIPTION } from '../protocol/remoting/message-flags.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { PullHead } from './pull-head.ts';
import type { RemotingConnection } from './remoting-connection.ts';
import type { GroupHooks } from './remoting-context.ts';
import type { RemotingAnswer } from './remoting-request.ts';
import type { RecordFilter } from './stored-messages.ts';

/** A filter (undefined: everything passes), or why there is none. */
export type PullFilter =
  | { readonly filter: RecordFilter | undefined }
  | { readonly refusal: RemotingAnswer };

export class PullFilters {
  private readonly compiled = new CompiledFilters();

  /** The filter of a pull; the refusal is the one that its client expects. */
  filterOf(
    head: PullHead,
    groups: GroupHooks | undefined,
    connection: RemotingConnection,
  ): PullFilter {
    if ((head.sysFlag & PULL_SUBSCRIPTION) !== 0) {
      const { length } = head.subscription;
      if (length > EXPRESSION_MAX)
        return parseFailed(`it has ${length} characters; at most ${EXPRESSION_MAX} are allowed`);
      return this.compile(head.expressionType, head.subscription);
    }
    const heard = groups?.subscription(connection, head.consumerGroup, head.topic);
    if (heard === undefined) {
      const remark = `the consumer's subscription not exist: ${head.consumerGroup} has not said in a heartbeat that it reads ${head.topic}`;
      return { refusal: { code: RESPONSE_CODES.SUBSCRIPTION_NOT_EXIST, remark } };
    }
    if (heard.version < head.subVersion) {
      const remark = `the consumer's subscription not latest: ${heard.version} is known, ${head.subVersion} pulls`;
      return { refusal: { code: RESPONSE_CODES.SUBSCRIPTION_NOT_LATEST, remark } };
    }
    return this.compile(heard.expressionType, heard.expression);
  }

  private compile(type: string, expression: string): PullFilter {
    try {
      const matcher = this.compiled.compile(type, expression);
      return { filter: matcher === null ? undefined : (record) => matcher.matches(record) };
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'INVALID_ARGUMENT') throw error;
      return parseFailed(`${error.message}\n${error.hint}`);
    }
  }
}

function parseFailed(why: string): PullFilter {
  const remark = `parse the consumer's subscription failed: ${why}`;
  return { refusal: { code: RESPONSE_CODES.SUBSCRIPTION_PARSE_FAILED, remark } };
}
