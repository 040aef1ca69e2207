/** A NameServer without sockets, on a clock that the test moves: commands in, answers out. */
import { inflateSync } from 'node:zlib';
import type { Clock } from '../base/clock.ts';
import { type RecordedLine, recordingLogger } from '../base/log-sink.ts';
import {
  type NameServerAnswer,
  NameServerCore,
  type NameServerCoreOptions,
} from '../nameserver/nameserver-core.ts';
import { DEFAULT_SWITCHES } from '../nameserver/nameserver-settings.ts';
import { RegistrationGuard } from '../nameserver/registration-guard.ts';
import { CommandView } from '../protocol/remoting/command.ts';
import { decodeCommand } from '../protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../protocol/remoting/command-encoder.ts';
import type { Decoded } from '../protocol/remoting/lenient-json.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { decodeTopicRoute, type TopicRouteData } from '../protocol/remoting/route-codec.ts';
import { type Asked, type RegisteredBroker, registration } from './remoting-client.ts';

const INFLATED_MAX = 16 * 1024 * 1024;

/** The value of a decoder that must have one. */
export function valueIn<Value>(result: Decoded<Value>): Value {
  if ('refusal' in result) throw result.refusal;
  return result.value;
}

export class NameServerRig {
  nowMs = 1000;
  readonly core: NameServerCore;
  readonly lines: readonly RecordedLine[];
  private readonly view: CommandView = new CommandView();

  constructor(options: Partial<NameServerCoreOptions> = {}) {
    const { logger, lines } = recordingLogger();
    const clock: Clock = { monotonicMs: () => this.nowMs, epochMs: () => this.nowMs };
    this.lines = lines;
    this.core = new NameServerCore({
      clock,
      log: logger,
      guard: new RegistrationGuard({
        token: undefined,
        accessKey: undefined,
        secretKey: undefined,
      }),
      inflate: (bytes) => {
        try {
          return inflateSync(bytes, { maxOutputLength: INFLATED_MAX });
        } catch {
          return undefined;
        }
      },
      switches: { ...DEFAULT_SWITCHES },
      shownSettings: new Map([['listenPort', '9876']]),
      brokerTimeoutMs: 120_000,
      waitForServiceMs: 0,
      ...options,
    });
  }

  ask(code: number, asked: Asked = {}, connectionId = 1): NameServerAnswer {
    const { fields = {}, flag = 0, version = 479, body } = asked;
    const frame = encodeCommand({
      code,
      opaque: 1,
      flag,
      version,
      fields: new Map(Object.entries(fields)),
      body,
    });
    const verdict = decodeCommand(frame, this.view);
    if (verdict !== 'ok') throw new Error(`the request is no command: ${verdict}`);
    return this.core.handle({ command: this.view, connectionId });
  }

  register(broker: Partial<RegisteredBroker> = {}, connectionId = 1): NameServerAnswer {
    return this.ask(REQUEST_CODES.REGISTER_BROKER, registration(broker), connectionId);
  }

  /** The route of a topic; undefined when it has none. */
  route(topic: string, fields: Readonly<Record<string, string>> = {}): TopicRouteData | undefined {
    const answer = this.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, { fields: { topic, ...fields } });
    return answer.body === undefined ? undefined : valueIn(decodeTopicRoute(answer.body));
  }

  /** `brokerName:id=address …` of a route: what most tests look at. */
  routeText(topic: string): string {
    const brokers = this.route(topic)?.brokerDatas ?? [];
    return brokers
      .map(({ brokerName, brokerAddrs }) => {
        const addresses = [...brokerAddrs].map(([id, address]) => `${id}=${address}`);
        return `${brokerName}:${addresses.join(',')}`;
      })
      .join(' ');
  }
}
