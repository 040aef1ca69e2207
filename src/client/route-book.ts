/**
 * What is known of the routes of the topics in use: asked from NameServers, looked at again after a period and soon after
 * an error. When no NameServer answers, or one that was just started knows less, what is known goes on to be used: a broker that
 * is missing in the answers counts for two minutes more, as long as a NameServer would have waited for it. Browser-safe.
 */
import type { CancelTimer } from '../base/clock.ts';
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import type { FromNameServer, NameServers } from './name-servers.ts';
import { retryDelayMs } from './retry-policy.ts';
import type { RouteBroker, RouteMember } from './route-answer.ts';
import type { ClientRuntime } from './runtime.ts';

/** The topic whose route says which brokers make topics by themselves. @source docs/PROTOCOL.md, section 9 */
const AUTO_CREATE_TOPIC = 'TBW102';
/** Milliseconds that a broker counts after it was last in an answer. */
const BROKER_STAYS_MS = 120_000;
/** Milliseconds between two looks that errors cause. */
const LOOK_GAP_MS = 500;
/** The period varies by this part of it, up and down. */
const JITTER = 0.25;
/** Looks that failed: tried again sooner than after a period. */
const LOOK_RETRY = { minMs: 200, maxMs: 10_000 };

/** A process that is, or was lately, in the routes. */
export type KnownMember = { readonly member: RouteMember; readonly url: string };

/** A broker of a topic, as far as is known. */
export type KnownBroker = {
  readonly brokerName: string;
  readonly queues: number;
  readonly mayWrite: boolean;
  readonly mayRead: boolean;
  /** Who takes messages; undefined while it has no master. */
  readonly writer: KnownMember | undefined;
  /** From whom is consumed: the master, else the slave with the smallest id. */
  readonly reader: KnownMember | undefined;
};

type Entry = {
  brokers: Map<
    string,
    KnownBroker & { readonly writerSeenAtMs: number; readonly seenAtMs: number }
  >;
  isKnown: boolean;
  readonly waiting: Set<(error: SluiceError | undefined) => void>;
};

export type RouteBookOptions = {
  readonly runtime: ClientRuntime;
  readonly nameServers: NameServers;
  readonly refreshMs: number;
  readonly onChanged: (topic: string) => void;
  /** No broker has the topic, and none makes it. */
  readonly onMissing: (topic: string, error: SluiceError) => void;
  /** No NameServer answers; told once for each outage. */
  readonly onFailed: (error: SluiceError) => void;
  /** All topics were looked at. */
  readonly onLooked: () => void;
};

export class RouteBook {
  private readonly options: RouteBookOptions;
  private readonly entries: Map<string, Entry> = new Map();
  private failures = 0;
  private isLooking = false;
  private mustLookAgain = false;
  private isClosed = false;
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private dueAtMs = Number.POSITIVE_INFINITY;
  private cancelLook: CancelTimer = () => {};

  constructor(options: RouteBookOptions) {
    this.options = options;
  }

  /** Brokers of a topic, in order of their names; undefined: not known yet, and asked for. */
  brokersOf(topic: string): readonly KnownBroker[] | undefined {
    const entry = this.entries.get(topic) ?? this.open(topic);
    if (!entry.isKnown) return undefined;
    return [...entry.brokers.values()].sort((one, other) =>
      one.brokerName < other.brokerName ? -1 : 1,
    );
  }

  /** All brokers of topics in use. */
  *allBrokers(): IterableIterator<KnownBroker> {
    for (const { brokers } of this.entries.values()) yield* brokers.values();
  }

  /** Resolves when the topic is known. @throws TOPIC_NOT_FOUND, or what `close` was called with */
  known(topic: string): Promise<void> {
    if (this.brokersOf(topic) !== undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const entry = this.entries.get(topic) as Entry;
      entry.waiting.add((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /** Something is not as the routes say. */
  lookSoon(): void {
    const now = this.options.runtime.clock.monotonicMs();
    if (this.isLooking) {
      this.mustLookAgain = true;
      return;
    }
    const atMs = Math.max(now, this.lookedAtMs + LOOK_GAP_MS);
    if (this.failures === 0 && atMs < this.dueAtMs) this.lookAt(atMs);
  }

  close(error: SluiceError): void {
    this.isClosed = true;
    this.cancelLook();
    for (const entry of this.entries.values()) settle(entry, error);
  }

  private open(topic: string): Entry {
    const entry: Entry = { brokers: new Map(), isKnown: false, waiting: new Set() };
    this.entries.set(topic, entry);
    if (this.isLooking) this.mustLookAgain = true;
    else this.lookAt(this.options.runtime.clock.monotonicMs());
    return entry;
  }

  private lookAt(atMs: number): void {
    const { runtime } = this.options;
    this.cancelLook();
    this.dueAtMs = atMs;
    const delayMs = Math.max(0, atMs - runtime.clock.monotonicMs());
    this.cancelLook = runtime.startTimer(delayMs, () => void this.look());
  }

  /** Never rejects. */
  private async look(): Promise<void> {
    const { runtime, refreshMs } = this.options;
    this.isLooking = true;
    this.mustLookAgain = false;
    this.dueAtMs = Number.POSITIVE_INFINITY;
    this.lookedAtMs = runtime.clock.monotonicMs();
    let failure: SluiceError | undefined;
    // New ones first: somebody waits for them.
    const topics = [...this.entries].sort(([, one], [, other]) => +one.isKnown - +other.isKnown);
    for (const [topic, entry] of topics) {
      if (this.isClosed) return;
      failure = await this.lookAtTopic(topic, entry);
      // What one did not answer, the next would not either.
      if (failure !== undefined) break;
    }
    this.isLooking = false;
    if (this.isClosed) return;
    if (failure !== undefined && this.failures === 0) this.options.onFailed(failure);
    this.failures = failure === undefined ? 0 : this.failures + 1;
    this.options.onLooked();
    const now = runtime.clock.monotonicMs();
    const periodMs = refreshMs * (1 + JITTER * (2 * runtime.prng.next() - 1));
    if (this.failures > 0)
      this.lookAt(now + Math.min(periodMs, retryDelayMs(LOOK_RETRY, this.failures, runtime.prng)));
    else if (this.mustLookAgain)
      this.lookAt(this.hasUnknown() ? now : this.lookedAtMs + LOOK_GAP_MS);
    else this.lookAt(now + periodMs);
  }

  private hasUnknown(): boolean {
    return [...this.entries.values()].some(({ isKnown }) => !isKnown);
  }

  /** @returns why no NameServer answers */
  private async lookAtTopic(topic: string, entry: Entry): Promise<SluiceError | undefined> {
    try {
      this.take(topic, entry, await this.routeOf(topic));
    } catch (error) {
      const failure = toSluiceError(error);
      if (failure.code !== 'TOPIC_NOT_FOUND') return failure;
      // A NameServer that was just started says so too: what is known stays, for its time.
      this.take(topic, entry, undefined);
      if (entry.brokers.size === 0) this.missing(topic, entry, failure);
    }
    return undefined;
  }

  private async routeOf(topic: string): Promise<FromNameServer<readonly RouteBroker[]>> {
    const { nameServers } = this.options;
    try {
      return await nameServers.route(topic);
    } catch (error) {
      if (toSluiceError(error).code !== 'TOPIC_NOT_FOUND') throw error;
      return await nameServers.route(AUTO_CREATE_TOPIC).catch(() => {
        throw error;
      });
    }
  }

  private missing(topic: string, entry: Entry, error: SluiceError): void {
    // The next who wants it asks again.
    this.entries.delete(topic);
    settle(entry, error);
    this.options.onMissing(topic, error);
  }

  private take(
    topic: string,
    entry: Entry,
    answer: FromNameServer<readonly RouteBroker[]> | undefined,
  ): void {
    if (this.isClosed) return;
    const before = JSON.stringify([...entry.brokers.values()].map(comparable));
    const now = this.options.runtime.clock.monotonicMs();
    for (const broker of answer?.value ?? []) {
      const known = entry.brokers.get(broker.brokerName);
      const { url } = answer as FromNameServer<unknown>;
      const reachable = broker.members.filter((member) => member.webSocketAddrs.length > 0);
      const master = reachable.find(({ brokerId }) => brokerId === 0);
      const [first] = reachable;
      if (first === undefined) continue;
      const { brokerName, queues, mayRead, mayWrite } = broker;
      entry.brokers.set(brokerName, {
        ...{ brokerName, queues, mayRead },
        // Without a master nobody may write; when it is back everybody may.
        mayWrite: master === undefined ? (known?.mayWrite ?? false) : mayWrite,
        writer: master === undefined ? known?.writer : { member: master, url },
        reader: { member: first, url },
        writerSeenAtMs: master === undefined ? (known?.writerSeenAtMs ?? now) : now,
        seenAtMs: now,
      });
    }
    for (const [name, known] of entry.brokers) {
      if (now - known.seenAtMs > BROKER_STAYS_MS) entry.brokers.delete(name);
      else if (known.writer !== undefined && now - known.writerSeenAtMs > BROKER_STAYS_MS)
        entry.brokers.set(name, { ...known, writer: undefined });
    }
    if (entry.brokers.size > 0 && !entry.isKnown) {
      entry.isKnown = true;
      settle(entry, undefined);
    }
    if (before !== JSON.stringify([...entry.brokers.values()].map(comparable)))
      this.options.onChanged(topic);
  }
}

function comparable({
  brokerName,
  queues,
  mayRead,
  mayWrite,
  writer,
  reader,
}: KnownBroker): unknown {
  const of = (known: KnownMember | undefined): unknown =>
    known === undefined ? null : [known.member.brokerId, known.member.webSocketAddrs];
  return [brokerName, queues, mayRead, mayWrite, of(writer), of(reader)];
}

function settle(entry: Entry, error: SluiceError | undefined): void {
  for (const tell of entry.waiting) tell(error);
  entry.waiting.clear();
}
