/**
 * A peer that speaks the remoting protocol over TCP, for tests: asks and waits for the answer with the same `opaque`, and
 * registers brokers as RocketMQ's do.
 */
import { sleep } from '../base/clock.ts';
import { REMOTING_ANSWER_HEADER_BYTES_MAX } from '../base/limits.ts';
import { CommandView, type ReceivedCommand } from '../protocol/remoting/command.ts';
import { decodeCommand } from '../protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../protocol/remoting/command-encoder.ts';
import {
  FLAG_RESPONSE,
  FORM_JSON,
  type HeaderForm,
  REMOTING_FRAMES,
} from '../protocol/remoting/frame-layout.ts';
import { encodeRegisterBrokerBody } from '../protocol/remoting/register-broker-codec.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import type { TopicConfig } from '../protocol/remoting/topic-config-codec.ts';
import type { TcpCloseReason, TcpConnection } from '../transport/tcp.ts';
import { connectTcp } from '../transport/tcp-open.ts';

const CONNECT_TIMEOUT_MS = 60_000;
const NEVER_MS = 3_600_000;
/** Milliseconds between looks for a request of the broker. */
const LOOK_MS = 2;
const BYTES_MAX = 64 * 1024 * 1024;

/** What a request has beside its code. */
export type Asked = {
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly version?: number;
  readonly flag?: number;
};

export class RemotingClient {
  readonly connection: TcpConnection;
  /** Resolves when the connection is gone, with the reason. */
  readonly closed: Promise<TcpCloseReason>;
  form: HeaderForm = FORM_JSON;
  /** What the broker has asked of this client, oldest first. */
  readonly told: ReceivedCommand[];
  private opaque = 0;
  private readonly waiting: Map<number, (answer: ReceivedCommand) => void>;

  private constructor(
    connection: TcpConnection,
    closed: Promise<TcpCloseReason>,
    waiting: Map<number, (answer: ReceivedCommand) => void>,
    told: ReceivedCommand[],
  ) {
    this.told = told;
    this.connection = connection;
    this.closed = closed;
    this.waiting = waiting;
  }

  static async connect(port: number): Promise<RemotingClient> {
    const waiting = new Map<number, (answer: ReceivedCommand) => void>();
    const told: ReceivedCommand[] = [];
    const view = new CommandView();
    let tellClosed: (reason: TcpCloseReason) => void = () => {};
    const closed = new Promise<TcpCloseReason>((resolve) => {
      tellClosed = resolve;
    });
    const connection = await connectTcp({
      host: '127.0.0.1',
      port,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      rule: REMOTING_FRAMES,
      limits: {
        idleTimeoutMs: NEVER_MS,
        partialBytesMax: BYTES_MAX,
        sendBufferBytesMax: BYTES_MAX,
      },
      handler: {
        open: () => {},
        drained: () => {},
        closed: (_, reason) => tellClosed(reason),
        frame: (_, frame) => {
          const verdict = decodeCommand(frame, view, REMOTING_ANSWER_HEADER_BYTES_MAX);
          if (verdict !== 'ok') throw new Error(`the answer is no command: ${verdict}`);
          if (!view.isResponse) {
            told.push(view.toCommand());
            return;
          }
          waiting.get(view.opaque)?.(view.toCommand());
          waiting.delete(view.opaque);
        },
      },
    });
    return new RemotingClient(connection, closed, waiting, told);
  }

  /** Sends a request and resolves with its answer. */
  ask(code: number, asked: Asked = {}): Promise<ReceivedCommand> {
    const opaque = this.send(code, asked);
    return new Promise((resolve, reject) => {
      this.waiting.set(opaque, resolve);
      this.closed.then(
        (reason) => reject(new Error(`closed (${reason}) before the answer to ${code}`)),
        reject,
      );
    });
  }

  /** Waits for the next request of the broker, answers it as told, and resolves with it. */
  async serve(
    answerOf: (request: ReceivedCommand) => { readonly code: number },
  ): Promise<ReceivedCommand> {
    const index = this.told.length;
    while (this.told.length === index) await sleep(LOOK_MS);
    const request = this.told[index] as ReceivedCommand;
    const { code } = answerOf(request);
    const answer = { code, opaque: request.opaque, flag: FLAG_RESPONSE };
    this.connection.send(encodeCommand(answer, this.form));
    return request;
  }

  /** Sends a request that nobody answers. @returns its `opaque` */
  send(code: number, asked: Asked = {}): number {
    this.opaque += 1;
    const { fields = {}, flag = 0, version = 479 } = asked;
    const command = {
      code,
      opaque: this.opaque,
      flag,
      version,
      fields: new Map(Object.entries(fields)),
      body: asked.body,
    };
    this.connection.send(encodeCommand(command, this.form));
    return this.opaque;
  }

  /** Answers what the broker has asked. */
  reply(
    told: ReceivedCommand,
    answer: { readonly code?: number; readonly body?: Uint8Array },
  ): void {
    const { code = 0, body } = answer;
    const command = { code, opaque: told.opaque, flag: FLAG_RESPONSE, body };
    this.connection.send(encodeCommand(command, this.form));
  }

  register(broker: Partial<RegisteredBroker> = {}): Promise<ReceivedCommand> {
    return this.ask(REQUEST_CODES.REGISTER_BROKER, registration(broker));
  }

  close(): void {
    this.connection.close('not-needed');
  }
}

/** A broker as a test describes it. */
export type RegisteredBroker = {
  readonly clusterName: string;
  readonly brokerName: string;
  readonly brokerId: number;
  readonly brokerAddr: string;
  readonly topics: readonly (string | Partial<TopicConfig>)[];
  readonly counter: number;
  readonly stateVersion: number;
  /** Of the version; a SluiceMQ broker's start. */
  readonly startedAtMs: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly filterServers: readonly string[];
};

export function topicConfig(topic: string | Partial<TopicConfig>): TopicConfig {
  return {
    topicName: 'T1',
    readQueueNums: 4,
    writeQueueNums: 4,
    perm: 6,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: new Map(),
    ...(typeof topic === 'string' ? { topicName: topic } : topic),
  };
}

/** The registration of a broker: broker-a with the topics T1 and T2, unless said otherwise. */
export function registration(broker: Partial<RegisteredBroker> = {}): Required<Asked> {
  const given = {
    clusterName: 'DefaultCluster',
    brokerName: 'broker-a',
    brokerId: 0,
    brokerAddr: '10.0.0.1:10911',
    topics: ['T1', 'T2'],
    counter: 1,
    stateVersion: 0,
    startedAtMs: 1_700_000_000_000,
    fields: {},
    filterServers: [],
    ...broker,
  };
  const { clusterName, brokerName, brokerId, brokerAddr, counter, stateVersion, startedAtMs } =
    given;
  const body = encodeRegisterBrokerBody({
    topicTable: {
      dataVersion: { counter, stateVersion, timestamp: startedAtMs },
      topics: given.topics.map(topicConfig),
    },
    filterServers: given.filterServers,
  });
  const fields = {
    clusterName,
    brokerName,
    brokerId: String(brokerId),
    brokerAddr,
    haServerAddr: brokerAddr.replace(/\d+$/, '10912'),
    ...given.fields,
  };
  return { fields, body, version: 479, flag: 0 };
}
