/**
 * The registration of this broker with its NameServers, without sockets and timers: each NameServer on its own, registered
 * at once, after every period and after each change of topics; with back-off after a failure. Synchronous; clock, randomness and
 * dialling are injected. The driver is `route-registration.ts`.
 *
 * ```
 * idle ─ due ─► dialling ─► open: REGISTER_BROKER ─ answer ─► due again after a period, or at once when topics changed
 *   ▲              │                     │
 *   └── back-off ──┴──── no answer ──────┘
 * ```
 *
 * @source docs/PROTOCOL.md, sections 7 and 9; RocketMQ BrokerOuterAPI.registerBrokerAll
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log-sink.ts';
import type { Prng } from '../base/prng.ts';
import { type RetryPolicy, retryDelayMs } from '../client/retry-policy.ts';
import { CommandView } from '../protocol/remoting/command.ts';
import { decodeCommand } from '../protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../protocol/remoting/command-encoder.ts';
import { fieldName } from '../protocol/remoting/header-fields.ts';
import { bodyCrc32, encodeRegisterBrokerBody } from '../protocol/remoting/register-broker-codec.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { TopicConfigTable } from '../protocol/remoting/topic-config-codec.ts';

/** What a NameServer is told. */
export type RegistrationFacts = {
  readonly clusterName: string;
  readonly brokerName: string;
  /** 0 while it is master. */
  readonly brokerId: number;
  /** `host:port` by which it is known. */
  readonly brokerAddr: string;
  /** `host:port` for slaves; empty when none can come. */
  readonly haServerAddr: string;
  /** `host:port` of WebSocket and HTTP, the best first. */
  readonly webSocketAddrs: readonly string[];
  readonly role: string;
  readonly epoch: number;
  /** Bytes of log, of all shards together. */
  readonly position: number;
  readonly topicTable: TopicConfigTable;
};

/** What a NameServer says about who reigns under the name of this broker. */
export type RegistrationNews = {
  /** Highest epoch that it has heard of. */
  readonly epoch: number;
  /** HA address of the master; undefined: it named none. */
  readonly masterHaAddr: string | undefined;
};

/** A connection to a NameServer. */
export type RegistrationPort = {
  readonly send: (bytes: Uint8Array) => void;
  readonly close: () => void;
};

export type RegistrationCoreOptions = {
  /** `host:port` of each NameServer. */
  readonly addresses: readonly string[];
  readonly periodMs: number;
  /** Credential of the NameServers; undefined: they ask for none. */
  readonly token: string | undefined;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
  /** Begins to connect; `opened` or `failed` follows, later. */
  readonly dial: (index: number) => void;
  readonly facts: () => RegistrationFacts;
  readonly onNews: (news: RegistrationNews) => void;
  /** Another broker has this name and id. @returns whether the facts name another id now */
  readonly onTaken: (brokerId: number) => boolean;
};

/** How it stands with one NameServer, for operators. */
export type RegistrationStatus = {
  readonly address: string;
  readonly registered: boolean;
  /** Milliseconds since its last answer; null before the first. */
  readonly registeredMsAgo: number | null;
  readonly failure: string | null;
  /** Another broker lives under the name and id, or at the address, of this one: one of the two is configured wrongly. */
  readonly isTaken: boolean;
};

type Slot = {
  readonly address: string;
  state: 'idle' | 'dialling' | 'open';
  port: RegistrationPort | undefined;
  dueAtMs: number;
  failures: number;
  /** What an answer must repeat, and until when; undefined: nothing is asked. */
  awaiting:
    | { readonly opaque: number; readonly deadlineMs: number; readonly brokerId: number }
    | undefined;
  /** Topics changed while it was asked. */
  isStale: boolean;
  /** Number of the last change that it was told of, and that its answer was for. */
  toldChange: number;
  knownChange: number;
  isRegistered: boolean;
  registeredAtMs: number | undefined;
  failure: string | undefined;
  /** When it was last said in the log that another broker has the place of this one; undefined: none has. */
  takenLoggedAtMs: number | undefined;
};

const BACK_OFF: RetryPolicy = { minMs: 200, maxMs: 15_000 };
/** Milliseconds that a NameServer has to answer. */
const ANSWER_MS_MAX = 6000;
/** Milliseconds between two registrations that changes of topics cause. */
const CHANGE_GAP_MS = 20;
/** Milliseconds between two lines of the log about a place that is taken: nobody should overlook it. */
const TAKEN_LOG_MS = 60_000;
/** The period varies by this part, so that brokers that started together do not stay together. */
const JITTER = 0.1;

const EPOCH = fieldName('epoch');
const HA_SERVER_ADDR = fieldName('haServerAddr');

export class RegistrationCore {
  private readonly options: RegistrationCoreOptions;
  private readonly slots: readonly Slot[];
  private readonly view: CommandView = new CommandView();
  private lastOpaque = 0;
  private isLeaving = false;
  /** Changes so far. */
  private changes = 0;

  constructor(options: RegistrationCoreOptions) {
    this.options = options;
    this.slots = options.addresses.map((address) => ({
      address,
      state: 'idle',
      port: undefined,
      dueAtMs: Number.NEGATIVE_INFINITY,
      failures: 0,
      awaiting: undefined,
      isStale: false,
      toldChange: 0,
      knownChange: 0,
      isRegistered: false,
      registeredAtMs: undefined,
      failure: undefined,
      takenLoggedAtMs: undefined,
    }));
  }

  /** Does what is due. */
  doWork(): void {
    const now = this.options.clock.monotonicMs();
    for (const [index, slot] of this.slots.entries()) {
      if (slot.awaiting !== undefined && slot.awaiting.deadlineMs <= now)
        this.fail(slot, `no answer within ${ANSWER_MS_MAX} ms`);
      if (this.isLeaving || slot.dueAtMs > now || slot.awaiting !== undefined) continue;
      if (slot.state === 'open') this.register(slot);
      else if (slot.state === 'idle') {
        slot.state = 'dialling';
        this.options.dial(index);
      }
    }
  }

  /** Milliseconds until `doWork` has something to do. */
  msUntilDue(): number {
    const now = this.options.clock.monotonicMs();
    const dues = this.slots.map(({ state, awaiting, dueAtMs }) => {
      if (awaiting !== undefined) return awaiting.deadlineMs;
      return state === 'dialling' || this.isLeaving ? Number.POSITIVE_INFINITY : dueAtMs;
    });
    return Math.max(0, Math.min(...dues) - now);
  }

  /** Topics, role or addresses are others than before: every NameServer hears of it soon. */
  changed(): void {
    this.changes += 1;
    const soon = this.options.clock.monotonicMs() + CHANGE_GAP_MS;
    for (const slot of this.slots) {
      if (slot.awaiting !== undefined) slot.isStale = true;
      // One that fails is tried at its own time.
      else if (slot.failures === 0) slot.dueAtMs = Math.min(slot.dueAtMs, soon);
    }
  }

  /** Number of the last change, for `knows`. */
  get lastChange(): number {
    return this.changes;
  }

  /** Has every NameServer answered for this change that this broker is registered with, or is about to be for the first time? */
  knows(change: number): boolean {
    return this.slots.every(
      ({ isRegistered, failures, knownChange }) =>
        knownChange >= change || (!isRegistered && failures > 0),
    );
  }

  opened(index: number, port: RegistrationPort): void {
    const slot = this.slots[index] as Slot;
    if (this.isLeaving) {
      port.close();
      return;
    }
    slot.state = 'open';
    slot.port = port;
    this.register(slot);
  }

  /** The connection could not be made, or is over. */
  failed(index: number, reason: string): void {
    this.fail(this.slots[index] as Slot, reason);
  }

  /** @shape `frame` is borrowed until the call returns */
  received(index: number, frame: Uint8Array): void {
    const slot = this.slots[index] as Slot;
    const { view } = this;
    const verdict = decodeCommand(frame, view);
    if (verdict !== 'ok') {
      this.fail(slot, `its answer is no command: ${verdict}`);
      return;
    }
    const { awaiting } = slot;
    if (!view.isResponse || awaiting?.opaque !== view.opaque) return;
    slot.awaiting = undefined;
    if (!this.isLeaving) this.answered(slot, awaiting.brokerId);
  }

  /**
   * Tells all that are connected that this broker leaves, and registers no more.
   * @returns how many were told; their answers make `isGone` true
   */
  leave(): number {
    this.isLeaving = true;
    let told = 0;
    for (const slot of this.slots) {
      slot.awaiting = undefined;
      if (slot.port === undefined) continue;
      this.ask(slot, REQUEST_CODES.UNREGISTER_BROKER, this.identity(this.options.facts()));
      told += 1;
    }
    return told;
  }

  /** Has every NameServer that was told answered, or gone? */
  get isGone(): boolean {
    return this.isLeaving && this.slots.every(({ awaiting }) => awaiting === undefined);
  }

  /** Closes all connections. */
  close(): void {
    this.isLeaving = true;
    for (const slot of this.slots) {
      const { port } = slot;
      slot.port = undefined;
      slot.awaiting = undefined;
      port?.close();
    }
  }

  status(): readonly RegistrationStatus[] {
    const now = this.options.clock.monotonicMs();
    return this.slots.map(
      ({ address, isRegistered, registeredAtMs, failure, takenLoggedAtMs }) => ({
        address,
        registered: isRegistered,
        registeredMsAgo: registeredAtMs === undefined ? null : Math.round(now - registeredAtMs),
        failure: failure ?? null,
        isTaken: takenLoggedAtMs !== undefined,
      }),
    );
  }

  private register(slot: Slot): void {
    const facts = this.options.facts();
    const body = encodeRegisterBrokerBody({ topicTable: facts.topicTable, filterServers: [] });
    const fields = this.identity(facts);
    fields.set('haServerAddr', facts.haServerAddr);
    fields.set('compressed', 'false');
    fields.set('bodyCrc32', String(bodyCrc32(body)));
    fields.set('enableActingMaster', 'false');
    fields.set('epoch', String(facts.epoch));
    fields.set('role', facts.role);
    fields.set('position', String(facts.position));
    fields.set('webSocketAddrs', facts.webSocketAddrs.join(','));
    slot.isStale = false;
    slot.toldChange = this.changes;
    this.ask(slot, REQUEST_CODES.REGISTER_BROKER, fields, body);
  }

  private identity(facts: RegistrationFacts): Map<string, string> {
    const { brokerName, brokerAddr, clusterName, brokerId } = facts;
    const { token } = this.options;
    return new Map([
      ['brokerName', brokerName],
      ['brokerAddr', brokerAddr],
      ['clusterName', clusterName],
      ['brokerId', String(brokerId)],
      ...(token === undefined ? [] : ([['RegistrationToken', token]] as const)),
    ]);
  }

  private ask(
    slot: Slot,
    code: number,
    fields: ReadonlyMap<string, string>,
    body?: Uint8Array,
  ): void {
    this.lastOpaque = (this.lastOpaque + 1) & 0x7fff_ffff;
    const opaque = this.lastOpaque;
    const deadlineMs = this.options.clock.monotonicMs() + ANSWER_MS_MAX;
    const brokerId = Number(fields.get('brokerId'));
    slot.awaiting = { opaque, deadlineMs, brokerId };
    slot.port?.send(encodeCommand({ code, opaque, flag: 0, fields, body }));
  }

  private answered(slot: Slot, brokerId: number): void {
    const { view, options } = this;
    const epoch = view.fields.integer(EPOCH);
    const masterHaAddr = view.fields.text(HA_SERVER_ADDR);
    const isTaken = view.code === RESPONSE_CODES.CONTROLLER_BROKER_ID_INVALID;
    if (!isTaken) slot.takenLoggedAtMs = undefined;
    if (isTaken) this.taken(slot, view.remark ?? 'another broker has this name and id', brokerId);
    else if (view.code !== RESPONSE_CODES.SUCCESS)
      this.refused(slot, `${view.code}: ${view.remark ?? 'it refused without a word'}`);
    else {
      const now = options.clock.monotonicMs();
      if (!slot.isRegistered)
        options.log.info('registered', { namesrv: slot.address, failures: slot.failures });
      slot.isRegistered = true;
      slot.knownChange = slot.toldChange;
      slot.registeredAtMs = now;
      slot.failure = undefined;
      slot.failures = 0;
      const periodMs = options.periodMs * (1 - JITTER * options.prng.next());
      slot.dueAtMs = now + (slot.isStale ? CHANGE_GAP_MS : periodMs);
    }
    if (Number.isSafeInteger(epoch))
      options.onNews({
        epoch: epoch as number,
        masterHaAddr: masterHaAddr === '' ? undefined : masterHaAddr,
      });
  }

  /** It is there and does not want this broker: the connection stays. */
  private refused(slot: Slot, reason: string): void {
    this.note(slot, reason);
    slot.dueAtMs = this.options.clock.monotonicMs() + this.backOffMs(slot);
  }

  /** Goes on asking: the place is free when the other one has stopped, or was silent for long enough. */
  private taken(slot: Slot, reason: string, brokerId: number): void {
    if (this.options.onTaken(brokerId)) {
      this.changed();
      slot.dueAtMs = this.options.clock.monotonicMs() + CHANGE_GAP_MS;
      return;
    }
    this.refused(slot, reason);
    const nowMs = this.options.clock.monotonicMs();
    if (nowMs - (slot.takenLoggedAtMs ?? Number.NEGATIVE_INFINITY) < TAKEN_LOG_MS) return;
    slot.takenLoggedAtMs = nowMs;
    this.options.log.error('name-and-id-taken', { namesrv: slot.address, brokerId, reason });
  }

  private fail(slot: Slot, reason: string): void {
    const { port } = slot;
    slot.port = undefined;
    slot.state = 'idle';
    slot.awaiting = undefined;
    slot.takenLoggedAtMs = undefined;
    port?.close();
    if (this.isLeaving) return;
    this.note(slot, reason);
    slot.dueAtMs = this.options.clock.monotonicMs() + this.backOffMs(slot);
  }

  private note(slot: Slot, reason: string): void {
    slot.failures += 1;
    // One line for each outage, not for each try.
    if (slot.isRegistered || slot.failures === 1)
      this.options.log.warn('not-registered', { namesrv: slot.address, reason });
    slot.isRegistered = false;
    slot.failure = reason;
  }

  private backOffMs({ failures }: Slot): number {
    const { prng, periodMs } = this.options;
    return Math.min(retryDelayMs(BACK_OFF, failures, prng), periodMs);
  }
}
