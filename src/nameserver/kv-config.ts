/**
 * The KV configuration: text by namespace and key, in memory only. Its one use by others is ORDER_TOPIC_CONFIG, which
 * says how many queues of an ordered topic each broker has. Pure.
 *
 * @source RocketMQ KVConfigManager
 */
import { KV_ENTRIES_MAX } from '../base/limits.ts';

/** Namespace of the queues of ordered topics: topic → `broker-a:4;broker-b:4`. */
export const ORDER_TOPIC_NAMESPACE = 'ORDER_TOPIC_CONFIG';

export class KvConfig {
  private readonly namespaces: Map<string, Map<string, string>> = new Map();
  private entryCount = 0;

  /** @returns false when there are as many entries as a NameServer keeps */
  put(namespace: string, key: string, value: string): boolean {
    const table = this.namespaces.get(namespace) ?? new Map<string, string>();
    if (!table.has(key)) {
      if (this.entryCount >= KV_ENTRIES_MAX) return false;
      this.entryCount += 1;
    }
    table.set(key, value);
    this.namespaces.set(namespace, table);
    return true;
  }

  get(namespace: string, key: string): string | undefined {
    return this.namespaces.get(namespace)?.get(key);
  }

  delete(namespace: string, key: string): void {
    const table = this.namespaces.get(namespace);
    if (table?.delete(key) !== true) return;
    this.entryCount -= 1;
    if (table.size === 0) this.namespaces.delete(namespace);
  }

  /** Everything of a namespace; undefined when it has nothing. */
  list(namespace: string): ReadonlyMap<string, string> | undefined {
    return this.namespaces.get(namespace);
  }
}
