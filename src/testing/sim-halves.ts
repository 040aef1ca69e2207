/**
 * Transactions of a simulation: half messages whose senders say commit or rollback at once, only when they are asked, or never.
 * Nothing of them is seen before somebody has said commit; what was decided stays decided; a sender is asked as often as is
 * configured, and what nobody answers is then in the list, by which it is settled in the end.
 */
import type { Prng } from '../base/prng.ts';
import { DEFER_FLAG_HALF } from '../protocol/envelope-layout.ts';
import type {
  EndOutcome,
  HalfCheck,
  HalfList,
  HalfLocation,
  ShardEvent,
} from '../protocol/shard-control.ts';
import type { ShardRig } from './shard-rig.ts';
import { type Deferred, DeferredSender, newDeferred } from './sim-deferred.ts';
import { SimViolation } from './sim-invariants.ts';
import { idOf, MessageLedger } from './sim-messages.ts';
import {
  askSite,
  type IsHeld,
  isTrimmed,
  type LogPlace,
  type SimSite,
  type SitePart,
  type SiteTopic,
} from './sim-site.ts';

/** Half messages of one run. */
const HALVES_MAX = 40;
const BODY_BYTES = 120;
/** Milliseconds until the first question, at most. */
const FIRST_CHECK_MS = 300;
const FETCH_MAX = 100;
const LIST_MAX = 100;

/** How often the senders of this simulation are asked, and the pause between, in milliseconds: `ShardConfig` of its brokers. */
export const CHECKS: { transactionCheckMax: number; transactionCheckIntervalMs: number } = {
  ...{ transactionCheckMax: 3, transactionCheckIntervalMs: 150 },
};

/** The position at which it was stored is its name; it is due for its first question. */
type Half = Deferred & {
  readonly id: string;
  /** What its sender has in mind. */
  readonly wish: EndOutcome;
  /** When it says so. */
  readonly manner: 'at once' | 'when asked' | 'never';
  /** Somebody has said commit: it may be seen from then on. */
  isCommitAsked: boolean;
  /** Ends that are under way, and whether there ever was one. */
  ending: number;
  isEndAsked: boolean;
  decided: { readonly outcome: EndOutcome; readonly place: LogPlace } | undefined;
  /** The last question of this life of the broker. */
  checks: number;
  checkedAtMs: number;
  /** A question waits for an answer. */
  isAsked: boolean;
};

export class SimHalves implements SitePart {
  private readonly site: SimSite;
  private readonly prng: Prng;
  private readonly topic: SiteTopic;
  private readonly ledger = new MessageLedger();
  private readonly sender: DeferredSender<Half>;
  private readonly next: number[] = [];
  /** The list of those that wait is asked for. */
  private isListing = false;

  constructor(site: SimSite, prng: Prng, topic: SiteTopic) {
    this.site = site;
    this.prng = prng;
    this.topic = topic;
    this.sender = new DeferredSender(site, topic, DEFER_FLAG_HALF, 'a half message');
  }

  private get all(): readonly Half[] {
    return this.sender.all;
  }

  get isLive(): boolean {
    return this.topic.isLive;
  }

  act(): void {
    const choice = this.prng.integer(20);
    if (choice < 5) this.send();
    else if (choice < 8) this.resend();
    else if (choice < 12) this.endSome();
    else if (choice < 15) this.answerQuestions();
    else this.look();
  }

  send(): void {
    const { prng, site, topic } = this;
    const count = this.all.length;
    if (count >= HALVES_MAX) return;
    const id = `h${String(count).padStart(7, '0')}`;
    const message = this.ledger.create(topic.name, id, 'red', BODY_BYTES, 0);
    const batch = this.ledger.encode([message], id, 0, 0);
    const q = prng.integer(topic.queues);
    const wish = prng.chance(0.6) ? 'committed' : 'rolledBack';
    const firstCheckAtMs = site.clock.epochMs() + 1 + prng.integer(FIRST_CHECK_MS);
    this.sender.send({
      ...newDeferred(batch, q, firstCheckAtMs),
      id: message.id,
      wish,
      manner: (['at once', 'at once', 'when asked', 'never'] as const)[prng.integer(4)] ?? 'never',
      isCommitAsked: false,
      ending: 0,
      isEndAsked: false,
      decided: undefined,
      checks: 0,
      checkedAtMs: 0,
      isAsked: false,
    });
  }

  resend(): void {
    this.sender.resend();
  }

  /** A sender ends its transaction, perhaps once more, perhaps by mistake otherwise than before. */
  endSome(): void {
    // Where one that is lost stood, another may stand now.
    const some = this.all.filter(
      ({ isAcked, isExcused, manner }) => isAcked && !isExcused && manner === 'at once',
    );
    const one = some[this.prng.integer(some.length)];
    if (one === undefined) return;
    const isMistaken = this.prng.chance(0.2);
    this.end(one, (one.wish === 'committed') !== isMistaken);
  }

  onEvent(event: ShardEvent): void {
    if (event.event !== 'check-half' || event.topicId !== this.topic.topicId) return;
    // One that is unknown here was stored, and its sender has not been told.
    const one = this.all.find(({ isAcked, position }) => isAcked && position === event.origin);
    if (one !== undefined && !one.isExcused && !this.site.isDamaged) this.asked(one, event);
  }

  restarted(): void {
    // A question that was asked may not have been counted, or was counted and never heard.
    for (const one of this.all) one.checks = 0;
  }

  lose(isHeld: IsHeld): void {
    this.sender.lose(isHeld);
    for (const one of this.all) {
      if (one.decided !== undefined && !isHeld(one.decided.place)) one.decided = undefined;
    }
  }

  finish(): boolean {
    this.resend();
    for (const one of this.all) {
      const isExact = one.isAcked && !one.isExcused && !this.site.isDamaged;
      // What an operator has said may have been heard without an answer.
      const isSilent = one.manner === 'never' && !one.isEndAsked;
      if (isExact && one.decided === undefined && !isSilent && one.ending === 0)
        this.end(one, one.wish === 'committed');
    }
    const rig = this.site.broker()?.rig;
    if (rig !== undefined && rig.agent.context.state.deferred.table.size > 0) this.settleListed();
    return this.all.some(
      ({ isAcked, decided, isExcused }) =>
        !isAcked || (decided === undefined && !isExcused && !this.site.isDamaged),
    );
  }

  get lastDueAtMs(): number {
    const { transactionCheckIntervalMs } = CHECKS;
    // Who was asked before somebody set the clock back is asked again a whole interval after that.
    const asked = this.all.filter(({ decided, checkedAtMs }) => !decided && checkedAtMs > 0);
    return Math.max(
      this.sender.lastDueAtMs,
      ...asked.map(({ checkedAtMs }) => checkedAtMs + transactionCheckIntervalMs),
    );
  }

  judge(read: (topic: SiteTopic) => readonly string[]): void {
    const counts = new Map<string, number>();
    for (const body of read(this.topic)) counts.set(idOf(body), (counts.get(idOf(body)) ?? 0) + 1);
    for (const one of this.all) {
      const { id, position, decided } = one;
      const count = counts.get(id) ?? 0;
      counts.delete(id);
      if (count > 1) throw new SimViolation(`${id}, a half message, is there ${count} times`);
      if (count > 0) this.checkMayBeSeen(one);
      if (one.isExcused) continue;
      if (decided?.outcome === 'committed' && count === 0 && !isTrimmed(this.site, this.topic))
        throw new SimViolation(`${id}, stored at ${position}, was committed and is lost`);
      if (decided?.outcome === 'rolledBack' && count > 0)
        throw new SimViolation(`${id}, stored at ${position}, was rolled back and is there`);
    }
    for (const id of counts.keys()) throw new SimViolation(`${id} was never sent as a half`);
  }

  /** Reads what has become visible since the last look. */
  look(): void {
    const { topic, site } = this;
    const q = this.prng.integer(topic.queues);
    const next = this.next[q] ?? 0;
    const send = (rig: ShardRig): number => rig.fetch(topic.topicId, q, next, FETCH_MAX);
    askSite(site, send, (answer) => {
      if (answer?.kind === 'failed') this.next[q] = 0;
      if (answer?.kind !== 'fetched') return;
      for (const { body } of answer.records) this.seen(idOf(body));
      this.next[q] = answer.next;
    });
  }

  private seen(id: string): void {
    const one = this.all.find((half) => half.id === id);
    if (one === undefined) throw new SimViolation(`${id} is seen and was never sent`);
    this.checkMayBeSeen(one);
    if (one.decided?.outcome === 'rolledBack' && !one.isExcused)
      throw new SimViolation(`${id} was rolled back and is seen`);
  }

  private checkMayBeSeen({ id, position, isCommitAsked }: Half): void {
    if (isCommitAsked) return;
    throw new SimViolation(
      `${id}, a half message stored at ${position}, is seen and nobody said commit`,
    );
  }

  /** Its sender is asked. */
  private asked(one: Half, { checks }: HalfCheck): void {
    const { clock, counts, hasWallJumped } = this.site;
    const { transactionCheckMax, transactionCheckIntervalMs } = CHECKS;
    const nowMs = clock.epochMs();
    counts.checks += 1;
    if (one.decided !== undefined)
      throw new SimViolation(`${one.id} is asked about and was ${one.decided.outcome}`);
    if (checks > transactionCheckMax || (one.checks > 0 && checks !== one.checks + 1))
      throw new SimViolation(
        `${one.id} is asked about for the ${checks}th time after ${one.checks}`,
      );
    const dueAtMs = one.checks > 0 ? one.checkedAtMs + transactionCheckIntervalMs : one.dueAtMs;
    // Questions wait in the ring: only those that come too early say something. An end that was asked for and lost brings the
    // question forward.
    if (one.checks === 0 && nowMs < dueAtMs && !hasWallJumped && !one.isEndAsked)
      throw new SimViolation(`${one.id} is asked about at ${nowMs}, due was ${dueAtMs}`);
    one.checks = checks;
    one.checkedAtMs = nowMs;
    one.isAsked = true;
  }

  /** Those that answer when they are asked do. */
  private answerQuestions(): void {
    for (const one of this.all) {
      if (!one.isAsked || one.manner !== 'when asked') continue;
      one.isAsked = false;
      this.end(one, one.wish === 'committed');
    }
  }

  /** An operator settles what nobody was told the end of, and what is there although a loss may have taken it. */
  private settleListed(): void {
    const { site } = this;
    if (this.isListing) return;
    const onlyParked = !site.isDamaged && !this.all.some(({ isExcused }) => isExcused);
    const request = { op: 'listHalf', max: LIST_MAX, onlyParked } as const;
    this.isListing = askSite(
      site,
      (rig) => rig.control(request),
      (answer) => {
        this.isListing = false;
        if (answer?.kind !== 'control') return;
        for (const listed of (answer.result as HalfList).messages) this.settleOne(listed);
      },
    );
  }

  private settleOne({ key, origin, checks, nextCheckAt }: HalfLocation): void {
    const one = this.all.find(({ id }) => id === key);
    if (one === undefined) throw new SimViolation(`${key} is listed, and nobody sent it`);
    const isExact = !one.isExcused && !this.site.isDamaged;
    if (isExact && nextCheckAt !== null) return;
    if (isExact && checks !== CHECKS.transactionCheckMax)
      throw new SimViolation(`${key} is given up after ${checks} questions`);
    if (isExact && one.decided !== undefined)
      throw new SimViolation(`${key} was ${one.decided.outcome} and is listed`);
    this.site.counts.parked += 1;
    this.endAt(one, origin, one.wish === 'committed');
  }

  private end(one: Half, isCommit: boolean): void {
    this.endAt(one, one.position, isCommit);
  }

  /** An answer once given holds: whatever is asked for later is answered the same. */
  private endAt(one: Half, origin: number, isCommit: boolean): void {
    const { site } = this;
    const { id } = one;
    const request = { op: 'endTransaction', place: origin, isCommit } as const;
    const isSent = askSite(
      site,
      (rig) => rig.control(request),
      (answer, place) => {
        one.ending -= 1;
        if (answer?.kind !== 'control' || one.isExcused || site.isDamaged) return;
        const { outcome } = answer.result as { readonly outcome: EndOutcome };
        if (outcome === 'notFound') throw new SimViolation(`${id}, a half message, is not found`);
        if (one.decided !== undefined && one.decided.outcome !== outcome)
          throw new SimViolation(`${id} was ${one.decided.outcome}, and is said to be ${outcome}`);
        one.decided ??= { outcome, place };
        site.counts.ended += 1;
      },
    );
    if (!isSent) return;
    one.ending += 1;
    one.isEndAsked = true;
    if (isCommit) one.isCommitAsked = true;
  }
}
