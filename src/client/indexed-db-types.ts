/**
 * The little of IndexedDB and Web Locks that the outbox uses, as types: the project is compiled without the browser's
 * library, and tests bring their own. The names are the platform's.
 */

export interface DbRequest<Result> {
  readonly result: Result;
  readonly error: unknown;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}

export interface DbOpenRequest extends DbRequest<Database> {
  onupgradeneeded: (() => void) | null;
}

export interface ObjectStore {
  add(value: unknown, key?: number | string): DbRequest<unknown>;
  put(value: unknown, key?: number | string): DbRequest<unknown>;
  get(key: number | string): DbRequest<unknown>;
  getKey(key: number | string): DbRequest<unknown>;
  getAll(): DbRequest<unknown[]>;
  getAllKeys(): DbRequest<unknown[]>;
  count(): DbRequest<number>;
  delete(key: number | string): DbRequest<unknown>;
}

export interface DbTransaction {
  readonly error: unknown;
  objectStore(name: string): ObjectStore;
  oncomplete: (() => void) | null;
  onabort: (() => void) | null;
  onerror: (() => void) | null;
}

export interface Database {
  createObjectStore(
    name: string,
    options?: { readonly autoIncrement?: boolean; readonly keyPath?: string },
  ): ObjectStore;
  transaction(stores: readonly string[], mode: 'readonly' | 'readwrite'): DbTransaction;
  close(): void;
}

export interface DatabaseFactory {
  open(name: string, version: number): DbOpenRequest;
  /** Not on every platform. */
  databases?(): Promise<readonly { readonly name?: string }[]>;
}

export interface Locks {
  request(
    name: string,
    options: { readonly ifAvailable: true },
    action: (lock: unknown) => Promise<void> | undefined,
  ): Promise<unknown>;
}

/** Where the outbox finds them. */
export type OutboxPlatform = {
  readonly indexedDB: DatabaseFactory | undefined;
  /** Undefined outside of secure contexts. */
  readonly locks: Locks | undefined;
};

/** The browser's. */
export function browserPlatform(): OutboxPlatform {
  const page = globalThis as {
    readonly indexedDB?: DatabaseFactory;
    readonly navigator?: { readonly locks?: Locks };
  };
  return { indexedDB: page.indexedDB, locks: page.navigator?.locks };
}
