/**
 * Named records (topics, groups) that shard 0 decides and every shard stores: name to id and back, creation, change and
 * deletion, and bringing a shard up to date that differs. An id is never given twice. Creations of one name share one
 * promise, so that a burst of first messages makes one topic.
 */
import { SluiceError } from '../base/errors.ts';
import type { ShardControlRequest } from '../protocol/shard-control.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardLinks } from './shard-links.ts';

/** What differs between topics and groups. */
export type RecordKind<Entry> = {
  readonly noun: string;
  readonly countMax: number;
  readonly idOf: (entry: Entry) => number;
  readonly nameOf: (entry: Entry) => string;
  readonly put: (entry: Entry) => ShardControlRequest;
  readonly remove: (id: number) => ShardControlRequest;
};

/** A master that has not compared its log with a slave: it is told again later. */
export function takesNothingYet(error: unknown): boolean {
  return error instanceof SluiceError && error.code === 'SLAVE_NOT_AVAILABLE';
}

export class RecordRegistry<Entry> {
  private readonly kind: RecordKind<Entry>;
  private readonly links: ShardLinks;
  private readonly byName = new Map<string, Entry>();
  private readonly byId = new Map<number, Entry>();
  private readonly busy = new Map<string, Promise<Entry | undefined>>();
  /** Sent to shard 0 with an unknown outcome: asked again under the same id. */
  private readonly inDoubt = new Map<string, Entry>();
  /** Shards that could not store a record or its deletion yet, by id. */
  private readonly missing = new Map<number, Set<ShardLink>>();
  private idMax = 0;
  /** On a slave: what its log says is taken over, and shards are told nothing. */
  private isFollower = false;
  /** Called after each change of what is known. */
  onChange: () => void = () => {};

  constructor(kind: RecordKind<Entry>, links: ShardLinks) {
    this.kind = kind;
    this.links = links;
  }

  /** From now on the log of this broker is a master's, or its own. */
  follow(isFollower: boolean): void {
    this.isFollower = isFollower;
    if (!isFollower) return;
    this.missing.clear();
    this.inDoubt.clear();
  }

  /** The log that is followed has this record now. */
  followed(entry: Entry): void {
    const before = this.byId.get(this.kind.idOf(entry));
    if (before !== undefined) this.forget(before);
    this.remember(entry);
  }

  /** The log that is followed has it no more. @returns what it was */
  dropped(id: number): Entry | undefined {
    const before = this.byId.get(id);
    if (before !== undefined) this.forget(before);
    return before;
  }

  get count(): number {
    return this.byName.size;
  }

  find(name: string): Entry | undefined {
    return this.byName.get(name);
  }

  get(id: number): Entry | undefined {
    return this.byId.get(id);
  }

  /** In order of their names. */
  all(): readonly Entry[] {
    const { nameOf } = this.kind;
    return [...this.byName.values()].sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  }

  /**
   * Takes over what shard 0 has stored: at the start, and after a restart of shard 0, which may have lost nothing that
   * was answered but may have stored what was not.
   */
  adopt(entries: readonly Entry[], idMax: number | undefined): void {
    const { idOf } = this.kind;
    const theirs = new Set(entries.map(idOf));
    for (const entry of [...this.byId.values()]) {
      if (theirs.has(idOf(entry))) continue;
      this.forget(entry);
      this.missEverywhere(idOf(entry));
    }
    for (const entry of entries) {
      if (JSON.stringify(this.byId.get(idOf(entry))) !== JSON.stringify(entry))
        this.missEverywhere(idOf(entry));
      this.remember(entry);
      this.inDoubt.delete(this.kind.nameOf(entry));
    }
    this.idMax = Math.max(this.idMax, idMax ?? 0);
  }

  /** Puts and deletes on one shard what differs from what shard 0 decided. */
  async reconcile(link: ShardLink, theirs: readonly Entry[]): Promise<void> {
    if (this.isFollower) return;
    const { idOf, put, remove } = this.kind;
    const stored = new Map(theirs.map((entry) => [idOf(entry), entry]));
    const requests: Promise<unknown>[] = [];
    for (const shards of this.missing.values()) shards.delete(link);
    const tell = (id: number, request: ShardControlRequest): void => {
      const told = link.control(request).catch((error: unknown) => {
        if (!takesNothingYet(error)) throw error;
        this.miss(id, link);
      });
      requests.push(told);
    };
    for (const [id, entry] of this.byId) {
      const same = JSON.stringify(stored.get(id)) === JSON.stringify(entry);
      if (!same) tell(id, put(entry));
    }
    for (const id of stored.keys()) if (!this.byId.has(id)) tell(id, remove(id));
    await Promise.all(requests);
  }

  /**
   * The record of this name, made when there is none.
   *
   * @param make - called with the new id
   * @throws LIMIT_REACHED, and what shard 0 answers
   */
  create(name: string, make: (id: number) => Entry): Promise<Entry> {
    const found = this.byName.get(name);
    if (found !== undefined && !this.busy.has(name)) return Promise.resolve(found);
    const busy = this.busy.get(name);
    // What goes on may be the deletion of a namesake: then there is none afterwards, and it is made anew.
    if (busy !== undefined)
      return busy.then((entry) => (entry === undefined ? this.create(name, make) : entry));
    if (this.byName.size + this.busy.size >= this.kind.countMax) {
      const text = `the broker has ${this.byName.size} ${this.kind.noun}s, which is its limit`;
      return Promise.reject(new SluiceError('LIMIT_REACHED', text));
    }
    const entry = this.inDoubt.get(name) ?? make(this.idMax + 1);
    this.idMax = Math.max(this.idMax, this.kind.idOf(entry));
    return this.decide(name, entry);
  }

  /** Stores a record of the same id and name with other settings. */
  async change(entry: Entry): Promise<Entry> {
    const name = this.kind.nameOf(entry);
    await this.idle(name);
    return this.decide(name, entry);
  }

  /** Deletes on shard 0, then everywhere. */
  async remove(entry: Entry): Promise<void> {
    const { nameOf, idOf, remove } = this.kind;
    const name = nameOf(entry);
    await this.idle(name);
    if (this.byId.get(idOf(entry)) === undefined) return;
    await this.occupy(name, async () => {
      await this.links.get(0).control(remove(idOf(entry)));
      this.forget(entry);
      await this.spread(idOf(entry), remove(idOf(entry)));
      return undefined;
    });
  }

  /** Tries again what a shard could not store. Called now and then. */
  retryMissing(): void {
    for (const [id, shards] of this.missing) {
      if (shards.size === 0) this.missing.delete(id);
      const entry = this.byId.get(id);
      const request = entry === undefined ? this.kind.remove(id) : this.kind.put(entry);
      for (const link of shards) {
        if (!link.isReachable) continue;
        shards.delete(link);
        void link.control(request).catch(() => shards.add(link));
      }
    }
  }

  private decide(name: string, entry: Entry): Promise<Entry> {
    return this.occupy(name, async () => {
      this.inDoubt.set(name, entry);
      try {
        await this.links.get(0).control(this.kind.put(entry));
      } catch (error) {
        const isKnown = error instanceof SluiceError && error.stored === false;
        if (isKnown) this.inDoubt.delete(name);
        throw error;
      }
      this.inDoubt.delete(name);
      // Decided, but only found by name once the others have it too.
      this.byId.set(this.kind.idOf(entry), entry);
      await this.spread(this.kind.idOf(entry), this.kind.put(entry));
      this.remember(entry);
      return entry;
    }) as Promise<Entry>;
  }

  /** Resolves when nothing goes on for this name, however it ended. */
  private async idle(name: string): Promise<void> {
    for (let busy = this.busy.get(name); busy !== undefined; busy = this.busy.get(name))
      await busy.catch(() => undefined);
  }

  /** One thing at a time for one name. */
  private occupy(
    name: string,
    action: () => Promise<Entry | undefined>,
  ): Promise<Entry | undefined> {
    const promise = action().finally(() => {
      if (this.busy.get(name) === promise) this.busy.delete(name);
    });
    this.busy.set(name, promise);
    return promise;
  }

  /** Tells the other shards; one that cannot store it now is told again later, because shard 0 has decided. */
  private async spread(id: number, request: ShardControlRequest): Promise<void> {
    const others = this.links.all.slice(1);
    await Promise.all(others.map((link) => link.control(request).catch(() => this.miss(id, link))));
  }

  private miss(id: number, link: ShardLink): void {
    const shards = this.missing.get(id) ?? new Set<ShardLink>();
    this.missing.set(id, shards.add(link));
  }

  /** No shard but 0 is known to have it as it is now. */
  private missEverywhere(id: number): void {
    if (this.isFollower) return;
    this.missing.set(id, new Set(this.links.all.slice(1)));
  }

  private remember(entry: Entry): void {
    this.byName.set(this.kind.nameOf(entry), entry);
    this.byId.set(this.kind.idOf(entry), entry);
    this.idMax = Math.max(this.idMax, this.kind.idOf(entry));
    this.onChange();
  }

  private forget(entry: Entry): void {
    this.byName.delete(this.kind.nameOf(entry));
    this.byId.delete(this.kind.idOf(entry));
    this.onChange();
  }
}
