/**
 * The NameServer without its sockets: takes one command, changes or reads the tables, gives the answer. Synchronous and
 * deterministic; time is injected. Keeps nothing on disk and talks to nobody: brokers register with every NameServer, and
 * any one of them is enough.
 */
import type { Clock } from '../base/clock.ts';
import { toSluiceError } from '../base/errors.ts';
import type { Logger } from '../base/log-sink.ts';
import type { CommandView } from '../protocol/remoting/command.ts';
import type { Inflate } from '../protocol/remoting/register-broker-codec.ts';
import { requestNameOf } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { LiveBroker } from './broker-table.ts';
import { KvConfig } from './kv-config.ts';
import { HANDLERS } from './nameserver-handlers.ts';
import type { NameServerSwitches } from './nameserver-settings.ts';
import { RefusedBrokers } from './refused-brokers.ts';
import type { RegistrationGuard } from './registration-guard.ts';
import { RouteTable } from './route-table.ts';

/** One command and where it came from. */
export type NameServerRequest = {
  /** Valid until the handler returns. */
  readonly command: CommandView;
  readonly connectionId: number;
};

/** What goes back: code 0 unless said otherwise. */
export type NameServerAnswer = {
  readonly code?: number;
  readonly remark?: string;
  readonly fields?: ReadonlyMap<string, string>;
  readonly body?: Uint8Array;
};

/** Counted since the start. */
export type NameServerCounters = {
  /** Commands that were answered, whatever the answer. */
  requests: number;
  /** Answers with another code than success. */
  refusals: number;
  /** Registrations that were taken, and that were refused. */
  registrations: number;
  registrationsRefused: number;
  /** Questions for routes, and those about topics that nobody has. */
  routes: number;
  routesNotFound: number;
  /** Brokers that were forgotten: silent, or with a closed connection; and that unregistered themselves. */
  brokersExpired: number;
  brokersDisconnected: number;
  brokersUnregistered: number;
};

export type NameServerCoreOptions = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly guard: RegistrationGuard;
  readonly inflate: Inflate;
  readonly switches: NameServerSwitches;
  /** What GET_NAMESRV_CONFIG shows beside the switches. */
  readonly shownSettings: ReadonlyMap<string, string>;
  /** Milliseconds of silence after which a broker is forgotten, unless it asks for another time. */
  readonly brokerTimeoutMs: number;
  /** Milliseconds from the start in which routes are refused, so that brokers can register first; 0: none. */
  readonly waitForServiceMs: number;
};

export class NameServerCore {
  readonly options: NameServerCoreOptions;
  readonly routes: RouteTable;
  readonly kv: KvConfig = new KvConfig();
  readonly refused: RefusedBrokers;
  readonly counters: NameServerCounters = {
    requests: 0,
    refusals: 0,
    registrations: 0,
    registrationsRefused: 0,
    routes: 0,
    routesNotFound: 0,
    brokersExpired: 0,
    brokersDisconnected: 0,
    brokersUnregistered: 0,
  };
  private readonly startedAtMs: number;

  constructor(options: NameServerCoreOptions) {
    this.options = options;
    this.routes = new RouteTable(options.clock);
    this.refused = new RefusedBrokers(options.clock, options.brokerTimeoutMs);
    this.startedAtMs = options.clock.monotonicMs();
  }

  /** Answers a command. Never throws for what stands in it. */
  handle(request: NameServerRequest): NameServerAnswer {
    const answer = this.answer(request);
    this.counters.requests += 1;
    if ((answer.code ?? RESPONSE_CODES.SUCCESS) !== RESPONSE_CODES.SUCCESS)
      this.counters.refusals += 1;
    return answer;
  }

  private answer(request: NameServerRequest): NameServerAnswer {
    const { command } = request;
    const handler = HANDLERS.get(command.code);
    if (handler === undefined)
      return {
        code: RESPONSE_CODES.REQUEST_CODE_NOT_SUPPORTED,
        // RocketMQ's words, with the blank that they begin with.
        remark: ` request type ${command.code} not supported`,
      };
    if (handler.isGuarded) {
      const refusal = this.options.guard.refusal(command);
      if (refusal !== undefined) {
        this.options.log.warn('change-refused', {
          request: requestNameOf(command.code),
          connectionId: request.connectionId,
          reason: refusal,
        });
        return { code: RESPONSE_CODES.NO_PERMISSION, remark: refusal };
      }
    }
    try {
      return handler.answer(this, request);
    } catch (error) {
      const refusal = toSluiceError(error);
      if (refusal.code === 'INVARIANT') throw error;
      return { code: RESPONSE_CODES.SYSTEM_ERROR, remark: refusal.message };
    }
  }

  /** A connection is gone, and with it every broker that registered on it. */
  connectionClosed(connectionId: number): void {
    this.refused.connectionClosed(connectionId);
    for (const broker of this.routes.brokers.ofConnection(connectionId)) {
      this.counters.brokersDisconnected += 1;
      this.forget(broker, 'its connection closed');
    }
  }

  /** Forgets the brokers that have been silent for too long. To be called every few seconds. */
  scan(): void {
    for (const broker of this.routes.brokers.expired()) {
      this.counters.brokersExpired += 1;
      this.forget(broker, `it was silent for ${broker.timeoutMs} ms`);
    }
  }

  forget(broker: LiveBroker, reason: string): void {
    this.routes.forget(broker);
    const { clusterName, brokerName, brokerId, brokerAddr, epoch } = broker;
    const facts = { clusterName, brokerName, brokerId, brokerAddr, epoch, reason };
    this.options.log.info('broker-forgotten', facts);
  }

  /** Must clients still wait until brokers had time to register? */
  isStarting(): boolean {
    const { clock, waitForServiceMs } = this.options;
    return clock.monotonicMs() - this.startedAtMs < waitForServiceMs;
  }
}
