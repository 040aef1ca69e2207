/**
 * The browser's outbox, in IndexedDB: a database a place, with one store for batches and one for where topics go on.
 * A tab locks the place that it uses; further tabs take other places of the same name, each with a producer id of its
 * own. A new tab takes a free place in which a closed one has left something, before it takes an empty one.
 */
import { SluiceError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import {
  browserPlatform,
  type Database,
  type DatabaseFactory,
  type DbRequest,
  type DbTransaction,
  type Locks,
  type OutboxPlatform,
} from './indexed-db-types.ts';
import type {
  Outbox,
  OutboxEntry,
  OutboxPolicy,
  OutboxState,
  OutboxTopic,
  StoredOutboxEntry,
} from './outbox.ts';

/** Name, bound and policy of a browser's outbox. */
export type IndexedDbOutboxOptions = {
  /** Names the outbox among others of this origin; default `events`. */
  readonly name?: string;
  /** Bytes of batches kept at most, also in memory; default 8 MiB. A batch has 100 bytes at least, however little it holds. */
  readonly bytesMax?: number;
  /** What happens to a batch that does not fit; default `refuse`. */
  readonly policy?: OutboxPolicy;
};

const BATCHES = 'batches';
const TOPICS = 'topics';
const META = 'meta';
const PRODUCER_ID = 'producerId';
const BYTES_MAX_DEFAULT: number = 8 * MIB;
/** Tabs of one page that may have an outbox at once. */
const PLACES_MAX = 16;

/** A database that this tab alone uses, until `release`. */
type Place = { readonly database: Database; readonly release: () => void };

/**
 * An outbox that outlives the page. It needs IndexedDB and Web Locks: a page from https or localhost.
 *
 * @example const producer = client.producer({ outbox: indexedDbOutbox({ policy: 'drop-oldest' }) });
 */
export function indexedDbOutbox(options: IndexedDbOutboxOptions = {}): Outbox {
  return new IndexedDbOutbox(options, browserPlatform());
}

/** The same on a given platform. @internal */
export class IndexedDbOutbox implements Outbox {
  readonly policy: OutboxPolicy;
  readonly bytesMax: number;
  readonly #name: string;
  readonly #platform: OutboxPlatform;
  #place: Place | undefined;
  #isClosed = false;

  constructor(options: IndexedDbOutboxOptions, platform: OutboxPlatform) {
    this.#name = `sluicemq-outbox-${options.name ?? 'events'}`;
    this.bytesMax = options.bytesMax ?? BYTES_MAX_DEFAULT;
    this.policy = options.policy ?? 'refuse';
    this.#platform = platform;
  }

  async open(newId: string): Promise<OutboxState> {
    const { indexedDB, locks } = this.#platform;
    // Without locks two tabs would have one producer id, and the broker would take the events of one for the other's.
    if (indexedDB === undefined || locks === undefined)
      throw new SluiceError('UNSUPPORTED', 'an outbox needs IndexedDB and Web Locks', {
        hint: 'Browsers have both for pages from https or from localhost.',
      });
    const place = await takePlace(indexedDB, locks, this.#name);
    this.#place = place;
    if (this.#isClosed) {
      await this.close();
      throw new SluiceError('CLOSED', 'the outbox was closed while it was being opened');
    }
    const transaction = this.#transaction([BATCHES, TOPICS, META]);
    const meta = transaction.objectStore(META);
    const batches = transaction.objectStore(BATCHES);
    // All at once: a transaction ends by itself when nothing is asked of it.
    const [known, keys, entries, topics] = await Promise.all([
      answer(meta.get(PRODUCER_ID)),
      answer(batches.getAllKeys()),
      answer(batches.getAll()),
      answer(transaction.objectStore(TOPICS).getAll()),
    ]);
    const producerId = typeof known === 'string' ? known : newId;
    meta.put(producerId, PRODUCER_ID);
    await finished(transaction);
    return {
      producerId,
      topics: topics as OutboxTopic[],
      entries: (entries as OutboxEntry[]).map(
        (entry, index): StoredOutboxEntry => ({ ...entry, key: keys[index] as number }),
      ),
    };
  }

  async put(entry: OutboxEntry, topic: OutboxTopic): Promise<number> {
    const transaction = this.#transaction([BATCHES, TOPICS]);
    const added = answer(transaction.objectStore(BATCHES).add(copyOf(entry)));
    transaction.objectStore(TOPICS).put(topic);
    const [key] = await Promise.all([added, finished(transaction)]);
    return key as number;
  }

  async replace(key: number, entry: OutboxEntry, topic: OutboxTopic): Promise<void> {
    const transaction = this.#transaction([BATCHES, TOPICS]);
    const batches = transaction.objectStore(BATCHES);
    transaction.objectStore(TOPICS).put(topic);
    // It may have been answered and removed meanwhile; putting it back would send it again.
    if ((await answer(batches.getKey(key))) !== undefined) batches.put(copyOf(entry), key);
    await finished(transaction);
  }

  async putTopic(topic: OutboxTopic): Promise<void> {
    const transaction = this.#transaction([TOPICS]);
    transaction.objectStore(TOPICS).put(topic);
    await finished(transaction);
  }

  async remove(key: number): Promise<void> {
    const transaction = this.#transaction([BATCHES]);
    transaction.objectStore(BATCHES).delete(key);
    await finished(transaction);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#place?.database.close();
    this.#place?.release();
    this.#place = undefined;
    return Promise.resolve();
  }

  #transaction(stores: readonly string[]): DbTransaction {
    if (this.#place === undefined) throw new SluiceError('CLOSED', 'the outbox is closed');
    return this.#place.database.transaction(stores, 'readwrite');
  }
}

/** The entry with a frame of its own: a view of a larger buffer would be stored with all of it. */
function copyOf(entry: OutboxEntry): OutboxEntry {
  const { frame } = entry;
  return frame.byteLength === frame.buffer.byteLength ? entry : { ...entry, frame: frame.slice() };
}

/** A free place with something in it, else the first free one. */
async function takePlace(factory: DatabaseFactory, locks: Locks, base: string): Promise<Place> {
  const existing = new Set((await factory.databases?.())?.map(({ name }) => name) ?? []);
  let empty: Place | undefined;
  for (let index = 0; index < PLACES_MAX; index += 1) {
    const name = index === 0 ? base : `${base}-${index}`;
    // An empty place is at hand, and this one was never used: nothing can be left in it.
    if (empty !== undefined && !existing.has(name)) continue;
    const release = await tryLock(locks, name);
    if (release === undefined) continue;
    try {
      const database = await openDatabase(factory, name);
      const place = { database, release };
      const count = await answer(
        database.transaction([BATCHES], 'readonly').objectStore(BATCHES).count(),
      );
      if (count > 0) {
        if (empty !== undefined) leave(empty);
        return place;
      }
      if (empty === undefined) empty = place;
      else leave(place);
    } catch (error) {
      release();
      if (empty !== undefined) leave(empty);
      throw error;
    }
  }
  if (empty !== undefined) return empty;
  throw new SluiceError('LIMIT_REACHED', `${PLACES_MAX} tabs have this outbox open`, {
    hint: 'Close some, or give them outboxes of different names.',
  });
}

function leave(place: Place): void {
  place.database.close();
  place.release();
}

/** @returns releases the lock; undefined when another tab has it */
function tryLock(locks: Locks, name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        if (lock === null) {
          resolve(undefined);
          return undefined;
        }
        // The lock is held until this promise settles.
        return new Promise<void>((release) => resolve(() => release()));
      })
      .catch(reject);
  });
}

function openDatabase(factory: DatabaseFactory, name: string): Promise<Database> {
  const request = factory.open(name, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(BATCHES, { autoIncrement: true });
    request.result.createObjectStore(TOPICS, { keyPath: 'topic' });
    request.result.createObjectStore(META);
  };
  return answer(request);
}

function answer<Result>(request: DbRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(storageError(request.error));
  });
}

function finished(transaction: DbTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (): void => reject(storageError(transaction.error));
    transaction.oncomplete = () => resolve();
    transaction.onabort = failed;
    transaction.onerror = failed;
  });
}

/** What IndexedDB reports, in our words. */
function storageError(cause: unknown): SluiceError {
  const { name, message } = (cause ?? {}) as { readonly name?: string; readonly message?: string };
  if (name === 'QuotaExceededError')
    return new SluiceError('STORAGE_FULL', 'the browser has no room left for the outbox', {
      cause,
      hint: 'The quota of the origin is used up, or the disk is full: lower bytesMax, or delete other data of the page.',
    });
  return new SluiceError('STORAGE_IO', `the outbox's IndexedDB failed: ${message || 'no reason'}`, {
    cause,
  });
}
