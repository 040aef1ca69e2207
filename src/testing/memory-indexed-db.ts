/**
 * IndexedDB and Web Locks in memory, as far as the client's outbox uses them. Requests succeed in later turns, a
 * transaction's writes count only when it completes, and a page can be killed at any moment: what had not completed
 * is gone, its locks are free.
 */
import type {
  Database,
  DatabaseFactory,
  DbOpenRequest,
  DbRequest,
  DbTransaction,
  Locks,
  ObjectStore,
  OutboxPlatform,
} from '../client/indexed-db-types.ts';

type StoreData = {
  readonly keyPath: string | undefined;
  nextKey: number;
  rows: Map<number | string, unknown>;
};
type DatabaseData = {
  readonly stores: Map<string, StoreData>;
  /** Transactions run one after the other; the first is the one that runs. */
  readonly transactions: MemoryTransaction[];
};

/** A request whose result is computed when it succeeds. */
class MemoryRequest<Result> implements DbRequest<Result> {
  onsuccess: (() => void) | null = null;
  onerror: (() => void) | null = null;
  error: unknown = null;
  private value: Result | undefined;

  get result(): Result {
    return this.value as Result;
  }

  succeed(result: Result): void {
    this.value = result;
    this.onsuccess?.();
  }
}

class MemoryTransaction implements DbTransaction {
  error: unknown = null;
  oncomplete: (() => void) | null = null;
  onabort: (() => void) | null = null;
  onerror: (() => void) | null = null;
  private readonly page: MemoryPage;
  private readonly data: DatabaseData;
  /** Copies of the stores: the transaction's own view until it completes. */
  private readonly copies = new Map<string, StoreData>();
  private readonly work: (() => void)[] = [];

  constructor(page: MemoryPage, data: DatabaseData) {
    this.page = page;
    this.data = data;
    data.transactions.push(this);
    if (data.transactions[0] === this) this.start();
  }

  private start(): void {
    setImmediate(() => this.step());
  }

  private end(): void {
    this.data.transactions.shift();
    this.data.transactions[0]?.start();
  }

  objectStore(name: string): ObjectStore {
    const ask = <Result>(compute: (store: StoreData) => Result): DbRequest<Result> => {
      const request = new MemoryRequest<Result>();
      this.work.push(() => request.succeed(compute(this.copyOf(name))));
      return request;
    };
    const write = (store: StoreData, value: unknown, key: number | string | undefined): unknown => {
      const own =
        store.keyPath === undefined
          ? key
          : (value as Record<string, number | string>)[store.keyPath];
      const used = own ?? store.nextKey++;
      store.rows.set(used, structuredClone(value));
      return used;
    };
    return {
      add: (value, key) => ask((store) => write(store, value, key)),
      put: (value, key) => ask((store) => write(store, value, key)),
      get: (key) => ask((store) => structuredClone(store.rows.get(key))),
      getKey: (key) => ask((store) => (store.rows.has(key) ? key : undefined)),
      getAll: () => ask((store) => [...store.rows.values()].map((row) => structuredClone(row))),
      getAllKeys: () => ask((store) => [...store.rows.keys()]),
      count: () => ask((store) => store.rows.size),
      delete: (key) => ask((store) => store.rows.delete(key)),
    };
  }

  private copyOf(name: string): StoreData {
    let copy = this.copies.get(name);
    if (copy === undefined) {
      const store = this.data.stores.get(name) as StoreData;
      copy = { ...store, rows: new Map(store.rows) };
      this.copies.set(name, copy);
    }
    return copy;
  }

  /** One request a turn; without one the transaction completes. */
  private step(): void {
    if (this.page.isDead) {
      this.end();
      return;
    }
    const next = this.work.shift();
    if (next !== undefined) {
      next();
      setImmediate(() => this.step());
      return;
    }
    if (this.page.failure !== undefined) {
      this.error = this.page.failure;
      this.end();
      this.onabort?.();
      return;
    }
    for (const [name, copy] of this.copies) {
      const store = this.data.stores.get(name) as StoreData;
      store.rows = copy.rows;
      store.nextKey = copy.nextKey;
    }
    this.end();
    this.oncomplete?.();
  }
}

/** One tab: dies as a whole. */
export class MemoryPage implements OutboxPlatform {
  isDead = false;
  /** Set: transactions abort with it, as on a full disk. */
  failure: Error | undefined;
  readonly indexedDB: DatabaseFactory;
  readonly locks: Locks;
  private readonly held: string[] = [];
  private readonly storage: MemoryIndexedDb;

  constructor(storage: MemoryIndexedDb) {
    this.storage = storage;
    this.indexedDB = {
      open: (name) => this.open(name),
      databases: () => Promise.resolve([...storage.databases.keys()].map((name) => ({ name }))),
    };
    this.locks = { request: (name, _options, action) => this.lock(name, action) };
  }

  /** The tab is gone, in the middle of whatever it did. */
  kill(): void {
    this.isDead = true;
    for (const name of this.held) this.storage.locked.delete(name);
  }

  private open(name: string): DbOpenRequest {
    const request = new MemoryRequest<Database>() as MemoryRequest<Database> & DbOpenRequest;
    request.onupgradeneeded = null;
    setImmediate(() => {
      const known = this.storage.databases.get(name);
      const data: DatabaseData = known ?? { stores: new Map(), transactions: [] };
      const database: Database = {
        createObjectStore: (store, options) => {
          data.stores.set(store, { keyPath: options?.keyPath, nextKey: 1, rows: new Map() });
          return new MemoryTransaction(this, data).objectStore(store);
        },
        transaction: () => new MemoryTransaction(this, data),
        close: () => {},
      };
      if (known === undefined) {
        this.storage.databases.set(name, data);
        // The handlers read `result`, which is there before the request succeeds.
        Object.defineProperty(request, 'result', { value: database });
        request.onupgradeneeded?.();
      }
      request.succeed(database);
    });
    return request;
  }

  private async lock(
    name: string,
    action: (lock: unknown) => Promise<void> | undefined,
  ): Promise<unknown> {
    await Promise.resolve();
    if (this.storage.locked.has(name)) return action(null);
    this.storage.locked.add(name);
    this.held.push(name);
    await action({ name });
    if (!this.isDead) this.storage.locked.delete(name);
    return undefined;
  }
}

/** What outlives the tabs of one origin. */
export class MemoryIndexedDb {
  readonly databases: Map<string, DatabaseData> = new Map();
  readonly locked: Set<string> = new Set();

  page(): MemoryPage {
    return new MemoryPage(this);
  }

  /** Rows of a store, over all databases. */
  rows(store: string): unknown[] {
    return [...this.databases.values()].flatMap((data) => [
      ...(data.stores.get(store)?.rows.values() ?? []),
    ]);
  }
}
