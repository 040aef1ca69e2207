/**
 * A consumer of a simulation that fails now and then and sends messages back, as RocketMQ's clients do: a copy comes by the group's
 * retry topic after a while, one retry more each time, and after the last one it goes to the dead letters. It says where it is when
 * nothing below is open. In the end each message was consumed or is a dead letter; no copy comes early, or skips a retry.
 *
 * @source RocketMQ DefaultMQPushConsumerImpl.sendMessageBack, ConsumeMessageConcurrentlyService
 */
import { ERROR_CODES } from '../base/error-codes.ts';
import type { Prng } from '../base/prng.ts';
import { emptyEntry } from '../log/entry-table.ts';
import { BODY_TEXT } from '../protocol/batch/batch-layout.ts';
import type { GroupOffset } from '../protocol/shard-control.ts';
import type { ShardRig } from './shard-rig.ts';
import { SimViolation } from './sim-invariants.ts';
import type { Answer } from './sim-link.ts';
import { idOf } from './sim-messages.ts';
import { askSite, ensureGroup, type SimSite, type SitePart, type SiteTopic } from './sim-site.ts';

const GROUP_ID = 21;
const GROUP = 'pool';
const RETRIES_MAX = 2;
const RETRY_MS_MAX = 400;
const FETCH_MAX = 8;
/** Messages that it fails to consume. */
const FAILURES = 0.25;
/** Copies under way: it does not go on before some of them are answered. */
const OPEN_MAX = 32;

export type SendBackTopics = {
  readonly source: SiteTopic;
  readonly retry: SiteTopic;
  readonly dead: SiteTopic;
};

/** A queue that it reads, and where. */
type Place = {
  readonly topic: SiteTopic;
  readonly q: number;
  next: number | undefined;
  /** Copies that it has not been told of, of messages of this queue. */
  open: Copy[];
  isReading: boolean;
  /** The group was confirmed to stand here. */
  said: number;
};

type Copy = {
  readonly id: string;
  /** How often it will have come again. */
  readonly times: number;
  readonly dueAtMs: number;
  isInFlight: boolean;
};

export class SimSendBacks implements SitePart {
  private readonly site: SimSite;
  private readonly prng: Prng;
  private readonly topics: SendBackTopics;
  private places: Place[] = [];
  /** Ids of messages that were consumed, and `id times` of what was delivered. */
  private readonly consumed = new Set<string>();
  private readonly delivered = new Set<string>();
  private readonly entry = emptyEntry();
  private isFinishing = false;
  lastDueAtMs = 0;

  constructor(site: SimSite, prng: Prng, topics: SendBackTopics) {
    this.site = site;
    this.prng = prng;
    this.topics = topics;
    this.restarted();
  }

  get isLive(): boolean {
    const { source, retry, dead } = this.topics;
    return source.isLive && retry.isLive && dead.isLive;
  }

  act(): void {
    const { prng, site } = this;
    const broker = site.broker();
    if (broker === undefined || !ensureGroup(broker, GROUP_ID, GROUP)) return;
    const place = this.places[prng.integer(this.places.length)] as Place;
    const choice = prng.integer(20);
    if (choice < 1) this.forget();
    else if (choice < 6) this.sendAgain(place);
    else if (choice < 10) this.commit(place);
    else this.read(place);
  }

  onEvent(): void {
    // Nothing is told of them.
  }

  restarted(): void {
    this.forget();
  }

  lose(): void {
    // It begins anew from where the group stands, and so comes by whatever is lost with that.
    this.forget();
  }

  finish(): boolean {
    const broker = this.site.broker();
    this.isFinishing = true;
    if (broker === undefined || !ensureGroup(broker, GROUP_ID, GROUP)) return true;
    const left = this.places.filter(({ topic, q, next, open }) => {
      const end = broker.rig.agent.context.state.queue(topic.topicId, q)?.visibleEnd ?? 0;
      return open.length > 0 || next === undefined || next < end;
    });
    for (const place of left) {
      this.sendAgain(place);
      this.read(place);
    }
    // What is in the log and not confirmed yet is still to be read.
    const { appended, commit } = broker.rig.memory;
    return left.length > 0 || appended.observe() !== commit.observe();
  }

  judge(read: (topic: SiteTopic) => readonly string[]): void {
    const dead = new Set<string>();
    for (const body of read(this.topics.dead)) {
      const { id, times } = readCopy(body);
      if (times !== RETRIES_MAX + 1 || !this.delivered.has(`${id} ${RETRIES_MAX}`))
        throw new SimViolation(`${id} is a dead letter after ${times - 1} retries`);
      dead.add(id);
    }
    this.site.counts.buried += dead.size;
    for (const body of read(this.topics.retry)) this.checkCopy(body);
    for (const body of read(this.topics.source)) {
      const id = idOf(body);
      if (!this.consumed.has(id) && !dead.has(id))
        throw new SimViolation(`${id} was neither consumed by ${GROUP} nor is it a dead letter`);
    }
  }

  /** The process begins anew: what it had in hand is gone. */
  private forget(): void {
    const { source, retry } = this.topics;
    this.places = [source, retry].flatMap((topic) =>
      Array.from({ length: topic.queues }, (_, q) => ({
        ...{ topic, q, next: undefined, open: [], isReading: false, said: -1 },
      })),
    );
  }

  private read(place: Place): void {
    const { topic, q, next } = place;
    if (place.isReading || place.open.length >= OPEN_MAX) return;
    if (next === undefined) {
      this.askWhere(place);
      return;
    }
    const send = (rig: ShardRig): number => rig.fetch(topic.topicId, q, next, FETCH_MAX);
    place.isReading = askSite(this.site, send, (answer) => {
      place.isReading = false;
      if (answer?.kind === 'failed') place.next = undefined;
      if (answer?.kind === 'fetched' && place.next === next) this.take(place, answer);
    });
  }

  private askWhere(place: Place): void {
    const { topicId } = place.topic;
    const request = { op: 'groupOffset', groupId: GROUP_ID, topicId, queueId: place.q } as const;
    place.isReading = askSite(
      this.site,
      (rig) => rig.control(request),
      (answer) => {
        place.isReading = false;
        if (answer?.kind !== 'control') return;
        if (answer.result === null) {
          // A master that still takes over what its slave has does not know yet.
          if (this.site.broker()?.rig.agent.context.isFollowing === false) this.site.topicLost();
          return;
        }
        const { offset, minOffset } = answer.result as GroupOffset;
        place.next = Math.max(offset ?? 0, minOffset);
      },
    );
  }

  private take(place: Place, answer: Extract<Answer, { kind: 'fetched' }>): void {
    const isUnread = answer.extents.some(
      ({ unreadable }) => unreadable !== undefined && unreadable !== 'RECORD_CORRUPT',
    );
    if (isUnread || !this.places.includes(place)) return;
    place.next = answer.next;
    for (const { offset, body } of answer.records) {
      const isRetry = place.topic === this.topics.retry;
      if (isRetry) this.checkDue(place, offset, body);
      const { id, times } = isRetry ? readCopy(body) : { id: idOf(body), times: 0 };
      this.delivered.add(`${id} ${times}`);
      if (this.isFinishing || !this.prng.chance(FAILURES)) this.consumed.add(id);
      else this.sendBack(place, id, times + 1);
    }
  }

  /** A copy names its time; it is not seen before, by the broker's clock, and only when the retry before it was. */
  private checkDue(place: Place, offset: number, body: string): void {
    this.checkCopy(body);
    const { id, times, dueAtMs } = readCopy(body);
    const { topicId } = place.topic;
    const queue = this.site.broker()?.rig.agent.context.state.queue(topicId, place.q);
    const isFound = queue?.find(offset, this.entry, () => {}) === 'found';
    if (isFound && this.entry.storedAtMs < dueAtMs && !this.site.hasWallJumped)
      throw new SimViolation(
        `retry ${times} of ${id} came at ${this.entry.storedAtMs}, due was ${dueAtMs}`,
      );
  }

  private checkCopy(body: string): void {
    const { id, times } = readCopy(body);
    if (times < 1 || times > RETRIES_MAX || !this.delivered.has(`${id} ${times - 1}`))
      throw new SimViolation(`${id} comes as retry ${times}, and that was not the next`);
  }

  private sendBack(place: Place, id: string, times: number): void {
    const dueAtMs = this.site.clock.epochMs() + 1 + this.prng.integer(RETRY_MS_MAX);
    const copy = { id, times, dueAtMs, isInFlight: false };
    this.lastDueAtMs = Math.max(this.lastDueAtMs, dueAtMs);
    place.open.push(copy);
    this.site.counts.sentBack += 1;
    this.transmit(place, copy);
  }

  /** Sends copies again of which nobody knows what became: two of them are right. */
  private sendAgain(place: Place): void {
    for (const copy of place.open) if (!copy.isInFlight) this.transmit(place, copy);
  }

  private transmit(place: Place, copy: Copy): void {
    const { retry, dead } = this.topics;
    const isDead = copy.times > RETRIES_MAX;
    const body = `${copy.id} ${copy.times} ${copy.dueAtMs}`;
    const records = [{ body, bodyKind: BODY_TEXT, key: copy.id }] as const;
    const deferral = isDead ? undefined : { dueAtMs: copy.dueAtMs };
    const send = (rig: ShardRig): number =>
      rig.produce((isDead ? dead : retry).topicId, 0, records, undefined, deferral);
    copy.isInFlight = askSite(this.site, send, (answer) => {
      copy.isInFlight = false;
      if (answer?.kind === 'produced') place.open = place.open.filter((one) => one !== copy);
      else if (answer?.kind !== 'failed') return;
      else if (answer.code === 'TOPIC_NOT_FOUND') this.site.topicLost();
      else if (!ERROR_CODES[answer.code].retryable)
        throw new SimViolation(`a message cannot be sent back: ${answer.code} ${answer.text}`);
    });
  }

  /** Says where it is, when nothing below is open. */
  private commit(place: Place): void {
    const { next, open, topic, q } = place;
    if (next === undefined || open.length > 0 || place.isReading || next === place.said) return;
    const entry = [GROUP_ID, topic.topicId, q, next, GROUP] as const;
    askSite(
      this.site,
      (rig) => rig.control({ op: 'commitOffsets', positions: [entry] }),
      (answer) => {
        if (answer?.kind !== 'control') return;
        place.said = next;
        this.site.counts.positions += 1;
      },
    );
  }
}

function readCopy(body: string): { id: string; times: number; dueAtMs: number } {
  const [id = '', times, dueAtMs] = body.split(' ');
  return { id, times: Number(times), dueAtMs: Number(dueAtMs) };
}
