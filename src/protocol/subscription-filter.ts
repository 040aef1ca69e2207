/** What a subscription wants of its topic. Browser-safe. */

/** Chosen by properties, in RocketMQ's SQL. */
export type SqlFilter = { readonly sql: string };

/** Tags in ascending order, each once; an SQL expression; null for all messages. */
export type SubscriptionFilter = readonly string[] | SqlFilter | null;

export function isSqlFilter(filter: SubscriptionFilter): filter is SqlFilter {
  return filter !== null && 'sql' in filter;
}

/** A filter as people write it. */
export function filterText(filter: SubscriptionFilter): string {
  if (filter === null) return '*';
  return isSqlFilter(filter) ? filter.sql : filter.join(' || ');
}

/** Do two members of a group want the same? */
export function isSameFilter(left: SubscriptionFilter, right: SubscriptionFilter): boolean {
  const isOneLanguage = isSqlFilter(left) === isSqlFilter(right);
  return isOneLanguage && filterText(left) === filterText(right);
}
