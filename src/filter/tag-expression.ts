/** RocketMQ's tag expressions: `*`, `a || b`, and the codes that they travel with. Pure. */
import { fnv1a } from '../base/fnv1a.ts';

/** Tags of an expression; null for all messages. */
export type TagExpression = readonly string[] | null;

/**
 * Reads a tag expression as RocketMQ does: empty parts are passed over, an empty expression means all messages. More
 * lenient than the filters of our own dialects, which take an empty part for a typing error.
 *
 * @source RocketMQ FilterAPI.buildSubscriptionData
 */
export function parseTagExpression(expression: string | null | undefined): TagExpression {
  if (expression === null || expression === undefined) return null;
  const trimmed = expression.trim();
  if (trimmed === '' || trimmed === '*') return null;
  const tags = trimmed
    .split('||')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
  return [...new Set(tags)];
}

/**
 * The code of a tag on RocketMQ's wire, a signed 32-bit number; 0 for no tag. Our own Bloom filters use `fnv1a`.
 *
 * @source java.lang.String.hashCode
 */
export function tagCode(tag: string): number {
  let code = 0;
  for (let index = 0; index < tag.length; index += 1)
    code = (Math.imul(code, 31) + tag.charCodeAt(index)) | 0;
  return code;
}

/** The codes of an expression, as `codeSet` has them; empty for all messages. */
export function tagCodes(tags: TagExpression): readonly number[] {
  return tags === null ? [] : tags.map(tagCode);
}

/** The hashes that say whether a batch may hold one of the tags; null for all messages. */
export function tagHashes(tags: TagExpression): readonly number[] | null {
  return tags?.map((tag) => fnv1a(tag)) ?? null;
}
