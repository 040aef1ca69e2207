/**
 * Where a producer keeps batches that are not acknowledged, so that they outlive the page: the interface, and what is
 * stored. `outbox-indexed-db.ts` is the browser's. Browser-safe.
 *
 * A batch is put into the outbox before it is sent, in one step with the next sequence of its topic: no sequence can
 * be used twice, whenever the page is closed.
 */

/** A batch as it is kept. */
export type OutboxEntry = {
  readonly topic: string;
  /** The producer's batch with the headroom of its frame, ready to be sent again. */
  readonly frame: Uint8Array;
  readonly sequence: number;
  readonly messageCount: number;
};

export type StoredOutboxEntry = OutboxEntry & { readonly key: number };

/** Where a topic's sequences go on. */
export type OutboxTopic = {
  readonly topic: string;
  readonly epoch: number;
  readonly nextSequence: number;
  /** -1: no broker was met yet. */
  readonly queueId: number;
};

/** What is left of an earlier life of the page. */
export type OutboxState = {
  readonly producerId: string;
  readonly topics: readonly OutboxTopic[];
  /** In the order in which they were put. */
  readonly entries: readonly StoredOutboxEntry[];
};

/** `refuse`: what does not fit is refused with STORAGE_FULL; `drop-oldest`: makes room, and the dropped are lost. */
export type OutboxPolicy = 'refuse' | 'drop-oldest';

/** Keeps what a producer has not been acknowledged; `indexedDbOutbox` is the browser's. */
export interface Outbox {
  readonly policy: OutboxPolicy;
  /** Bytes of frames kept at most. */
  readonly bytesMax: number;
  /**
   * Opens it, for this producer alone.
   *
   * @param newId - the producer id if the outbox is new
   */
  open(newId: string): Promise<OutboxState>;
  /** Keeps a batch and, with it, where its topic goes on. @returns the key of the entry */
  put(entry: OutboxEntry, topic: OutboxTopic): Promise<number>;
  /** Rewrites an entry whose epoch changed. */
  replace(key: number, entry: OutboxEntry, topic: OutboxTopic): Promise<void>;
  /** Keeps where a topic goes on. */
  putTopic(topic: OutboxTopic): Promise<void>;
  /** Forgets what was acknowledged or given up. */
  remove(key: number): Promise<void>;
  /** Ends it; what it keeps stays for the next opening. */
  close(): Promise<void>;
}
