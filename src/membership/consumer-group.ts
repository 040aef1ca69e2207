/**
 * The members of one consumer group. They agree on what they read: who comes with something else waits outside, with the
 * difference, until nobody is left who holds to the former terms. So a new version of an application can be rolled out member
 * by member: the old ones share the work until the last of them goes, and then all that wait come in at once. Pure.
 */
import { type ConsumerTerms, isSystemGroup, termsDifference, termsKey } from './consumer-terms.ts';

/** A client that was heard from. */
export type Client<Connection> = {
  readonly clientId: string;
  readonly connection: Connection;
  /** Number of its language, and of its RocketMQ version. */
  readonly language: number;
  readonly version: number;
  readonly heardAtMs: number;
};

export type Member<Connection> = Client<Connection> & { readonly terms: ConsumerTerms };

/** A client that is not let in. */
export type WaitingMember<Connection> = Member<Connection> & {
  readonly difference: string;
  /** When it was first refused; monotonic. */
  readonly sinceMs: number;
};

export type Heard = {
  /** Why it is not let in; undefined: it is a member. */
  readonly difference: string | undefined;
  /** It was not a member, or not refused for this, before. */
  readonly isNews: boolean;
};

export class ConsumerGroup<Connection> {
  readonly name: string;
  private readonly inside = new Map<string, Member<Connection>>();
  private readonly outside = new Map<string, WaitingMember<Connection>>();
  private agreed: ConsumerTerms | undefined;
  private isMoved = false;

  constructor(name: string) {
    this.name = name;
  }

  /** What its members read; undefined when it has none. */
  get terms(): ConsumerTerms | undefined {
    return this.agreed;
  }

  get isEmpty(): boolean {
    return this.inside.size === 0 && this.outside.size === 0;
  }

  member(clientId: string): Member<Connection> | undefined {
    return this.inside.get(clientId);
  }

  /** Is it known here, let in or not? */
  client(clientId: string): Member<Connection> | undefined {
    return this.inside.get(clientId) ?? this.outside.get(clientId);
  }

  /** In the order of their ids: every member must see the same list. */
  members(): readonly Member<Connection>[] {
    return byId(this.inside);
  }

  waiting(): readonly WaitingMember<Connection>[] {
    return byId(this.outside);
  }

  /** Has the list of members, or what they read, changed since this was asked last? */
  takeChange(): boolean {
    const { isMoved } = this;
    this.isMoved = false;
    return isMoved;
  }

  /** A heartbeat: it joins, stays, or is refused. */
  heard(member: Member<Connection>): Heard {
    const { clientId, terms } = member;
    const before = this.inside.get(clientId);
    const isAlone = this.inside.size === (before === undefined ? 0 : 1);
    const difference =
      isAlone || this.agreed === undefined || isSystemGroup(this.name)
        ? undefined
        : termsDifference(this.agreed, terms);
    if (difference !== undefined) return this.refuse(member, difference);
    const isNews = before === undefined || before.connection !== member.connection;
    const wasOther =
      this.agreed === undefined || this.topicsOf(this.agreed) !== this.topicsOf(terms);
    this.outside.delete(clientId);
    this.inside.set(clientId, member);
    // The newest word of those who agree: it has the newest versions of their subscriptions.
    this.agreed = terms;
    if (isNews || wasOther) this.isMoved = true;
    if (isAlone) this.letIn();
    return { difference: undefined, isNews };
  }

  /** It is gone. @returns false when it was not known */
  leave(clientId: string): boolean {
    if (this.outside.delete(clientId)) return true;
    if (!this.inside.delete(clientId)) return false;
    this.isMoved = true;
    this.changeTerms();
    return true;
  }

  private refuse(member: Member<Connection>, difference: string): Heard {
    const { clientId } = member;
    const before = this.outside.get(clientId);
    // It consumes by its new terms already: what it had is given to those who stay.
    if (this.inside.delete(clientId)) this.isMoved = true;
    const sinceMs = before?.sinceMs ?? member.heardAtMs;
    this.outside.set(clientId, { ...member, difference, sinceMs });
    return { difference, isNews: before?.difference !== difference };
  }

  /** The last one who held to the former terms is gone: those that most of the others wait for are next. */
  private changeTerms(): void {
    if (this.inside.size > 0) return;
    this.agreed = undefined;
    const wanted = new Map<string, { terms: ConsumerTerms; count: number; sinceMs: number }>();
    for (const { terms, sinceMs } of this.outside.values()) {
      const key = termsKey(terms);
      const one = wanted.get(key) ?? { terms, count: 0, sinceMs };
      wanted.set(key, one);
      one.count += 1;
      one.sinceMs = Math.min(one.sinceMs, sinceMs);
    }
    const [best] = [...wanted.values()].sort(
      (one, other) => other.count - one.count || one.sinceMs - other.sinceMs,
    );
    if (best === undefined) return;
    this.agreed = best.terms;
    this.letIn();
  }

  /** Who waits and agrees with what holds now is a member; the others are told what differs now. */
  private letIn(): void {
    for (const one of [...this.outside.values()]) {
      const difference =
        this.agreed === undefined ? undefined : termsDifference(this.agreed, one.terms);
      if (difference !== undefined) {
        this.outside.set(one.clientId, { ...one, difference });
        continue;
      }
      const { difference: _, sinceMs: __, ...member } = one;
      this.outside.delete(one.clientId);
      this.inside.set(one.clientId, member);
      this.isMoved = true;
    }
  }

  private topicsOf(terms: ConsumerTerms): string {
    return [...terms.subscriptions.keys()].sort().join(' ');
  }
}

function byId<One extends { readonly clientId: string }>(
  table: ReadonlyMap<string, One>,
): readonly One[] {
  return [...table.values()].sort((one, other) => (one.clientId < other.clientId ? -1 : 1));
}
