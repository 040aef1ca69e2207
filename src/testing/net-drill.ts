/**
 * A NameServer, a SYNC_MASTER, its slave and a client on four hosts of a `NetLab`, under load, while one way after the other is
 * cut and heals. Runs on the host of the client.
 *
 * Beside the load, which the client sends again until it is stored, single messages go in by HTTP: their answers are what the
 * master itself says while it is cut off.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { sleep, systemClock } from '../base/clock.ts';
import { connect } from '../client/node.ts';
import { DrillLoad } from '../cluster/drill-load.ts';
import { BrokerProcess, until } from './e2e-broker.ts';
import { type LabPlan, NetLab } from './net-lab.ts';

/** The hosts. */
export const NET_HOSTS = ['ns', 'a', 'a-s', 'client'] as const;
type Host = (typeof NET_HOSTS)[number];

/** Ways that are cut at the same time. */
type Ways = readonly (readonly [Host, Host])[];

/** A cut, and what proves that it has done what it does. */
type Cut = {
  readonly name: string;
  readonly ways: Ways;
  /** Synchronous replication stands still meanwhile: nothing may be acknowledged. */
  readonly stopsReplication: boolean;
};

const bothWays = (one: Host, other: Host): Ways => [
  [one, other],
  [other, one],
];

const CUTS: readonly Cut[] = [
  { name: 'the slave does not hear the master', ways: [['a', 'a-s']], stopsReplication: true },
  { name: 'the master does not hear the slave', ways: [['a-s', 'a']], stopsReplication: true },
  {
    name: 'master and slave do not hear each other',
    ways: bothWays('a', 'a-s'),
    stopsReplication: true,
  },
  {
    name: 'the client does not hear the master',
    ways: [['a', 'client']],
    stopsReplication: false,
  },
  { name: 'nobody hears the NameServer', ways: fromNameServer(), stopsReplication: false },
];

function fromNameServer(): Ways {
  return (['a', 'a-s', 'client'] as const).map((host): readonly [Host, Host] => ['ns', host]);
}

/** What one cut did. */
export type CutReport = {
  readonly name: string;
  readonly stopsReplication: boolean;
  /** Answers of the master to single messages, by code; `sent` is a receipt. */
  readonly answers: Readonly<Record<string, number>>;
  /** Of the load, between the first answer within the cut and its end. */
  readonly acknowledged: number;
  readonly disconnected: number;
};

/** All of it. */
export type NetReport = {
  readonly cuts: readonly CutReport[];
  readonly load: ReturnType<DrillLoad['report']> & {
    readonly acknowledged: number;
    readonly received: number;
  };
  /** Single messages: with a receipt that were not found; refused as not stored and found; found twice. */
  readonly single: {
    readonly sent: number;
    readonly lost: number;
    readonly storedAllTheSame: number;
    readonly doubled: number;
  };
};

const TOPIC = 'netns';
const SINGLE_TOPIC = 'netns-single';
const PORT = 8880;
const HA_PORT = 10_912;
const NAMESRV_PORT = 9876;
const RATE = 200;
const HA_TOKEN = 'only-for-this-test';
/** Milliseconds that a cut lasts at least, and that an answer may take. */
const CUT_MS = 1500;
const ANSWER_MS_MAX = 60_000;
const SEND_GAP_MS = 50;
const WAIT_MS_MAX = 120_000;
const SETTINGS = {
  ...{ shards: 1, segmentBytes: '1MiB', tailBytes: '1MiB', ringBytes: '16MiB' },
  ...{ maxMessageSize: '64KiB', haToken: HA_TOKEN, insecureIUnderstand: true },
  ...{ registerNameServerPeriod: '500ms', syncFlushTimeoutMs: '700ms', brokerName: 'broker-a' },
};
const PATIENCE = { connectTimeoutMs: 1000, pingIntervalMs: 500, pingTimeoutMs: 500 };

export class NetDrill {
  private readonly lab: NetLab;
  private readonly root: string;
  private readonly processes: BrokerProcess[] = [];
  private readonly load: DrillLoad;
  /** Body of a single message → what the master answered. */
  private readonly singles = new Map<string, string>();

  constructor(plan: LabPlan, root: string) {
    this.lab = new NetLab(plan);
    this.root = root;
    const nameServers = `${this.lab.addressOf('ns')}:${NAMESRV_PORT}`;
    const group = 'netns';
    const options = { clock: systemClock, nameServers, topic: TOPIC, group, rate: RATE };
    this.load = new DrillLoad({ ...options, patience: PATIENCE });
  }

  async run(): Promise<NetReport> {
    await this.startProcesses();
    await until('the master takes messages', () => this.isReady(), WAIT_MS_MAX);
    for (const topic of [TOPIC, SINGLE_TOPIC])
      await this.post('/api/topics', { topic, queues: topic === TOPIC ? 4 : 1 });
    await this.load.start();
    const cuts: CutReport[] = [];
    for (const cut of CUTS) {
      await this.untilWhole();
      cuts.push(await this.practise(cut));
    }
    await this.untilWhole();
    await this.load.stopSending();
    await until('all came', () => this.load.missing === 0, WAIT_MS_MAX);
    const { acknowledged, received } = this.load;
    const load = { ...this.load.report(), acknowledged, received };
    return { cuts, load, single: await this.judgeSingles() };
  }

  async end(): Promise<void> {
    await this.load.close();
    for (const one of this.processes.reverse()) await one.kill();
    rmSync(this.root, { recursive: true, force: true });
  }

  private async startProcesses(): Promise<void> {
    const bindAddress = this.lab.addressOf('ns');
    const wrapper = this.lab.on('ns');
    const settings = { bindAddress, insecureIUnderstand: true };
    const options = { role: 'namesrv', port: NAMESRV_PORT, wrapper, settings } as const;
    this.processes.push(await BrokerProcess.start(options));
    await this.startBroker('a', { brokerId: 0, brokerRole: 'SYNC_MASTER' }, 'a-s');
    await this.startBroker('a-s', { brokerId: 1, brokerRole: 'SLAVE' }, 'a');
  }

  private async startBroker(
    host: Host,
    role: Readonly<Record<string, string | number>>,
    peer: Host,
  ): Promise<void> {
    const address = this.lab.addressOf(host);
    const started = await BrokerProcess.start({
      wrapper: this.lab.on(host),
      dataDir: join(this.root, host),
      port: PORT,
      settings: {
        ...{ ...SETTINGS, ...role, listenAddress: address, brokerIP1: address, brokerIP2: address },
        namesrvAddr: `${this.lab.addressOf('ns')}:${NAMESRV_PORT}`,
        haListenPort: HA_PORT,
        haMasterAddress: `${this.lab.addressOf(peer)}:${HA_PORT}`,
      },
    });
    this.processes.push(started);
  }

  private async practise({ name, ways, stopsReplication }: Cut): Promise<CutReport> {
    const { load } = this;
    const answers: Record<string, number> = {};
    const note = async (): Promise<void> => {
      const code = await this.sendSingle();
      answers[code] = (answers[code] ?? 0) + 1;
    };
    const disconnectedBefore = load.disconnected;
    for (const [from, to] of ways) this.lab.cut(from, to);
    const endMs = systemClock.monotonicMs() + CUT_MS;
    if (ways.some(([, to]) => to === 'client') && ways.length === 1)
      await until('the client gives up', () => load.disconnected > disconnectedBefore);
    else await note();
    const before = load.acknowledged;
    const isSeen = (): boolean => !stopsReplication || (answers['SLAVE_NOT_AVAILABLE'] ?? 0) > 0;
    while (systemClock.monotonicMs() < endMs || !isSeen()) {
      if (stopsReplication || ways.length > 1) await note();
      await sleep(SEND_GAP_MS);
    }
    const acknowledged = load.acknowledged - before;
    for (const [from, to] of ways) this.lab.heal(from, to);
    const disconnected = load.disconnected - disconnectedBefore;
    return { name, stopsReplication, answers, acknowledged, disconnected };
  }

  /** The slave follows, the NameServer knows both, and messages pass. */
  private async untilWhole(): Promise<void> {
    await until('the master takes messages', () => this.isReady(), WAIT_MS_MAX);
    const target = this.load.received + RATE;
    await until('messages pass', () => this.load.received >= target, WAIT_MS_MAX);
    const registered = async (): Promise<boolean> => {
      const text = await this.get(`${this.lab.addressOf('ns')}:${NAMESRV_PORT}/v1/cluster`);
      return (text.match(/"brokerId":/g) ?? []).length === 2;
    };
    await until('both are registered', registered, WAIT_MS_MAX);
  }

  private async isReady(): Promise<boolean> {
    return (await this.get(`${this.lab.addressOf('a')}:${PORT}/readyz`)).includes('"ready":true');
  }

  /** @returns what stands there; nothing when nobody answers in time */
  private async get(place: string): Promise<string> {
    try {
      const signal = AbortSignal.timeout(PATIENCE.connectTimeoutMs);
      return await (await fetch(`http://${place}`, { signal })).text();
    } catch {
      return '';
    }
  }

  private async post(path: string, body: object): Promise<Record<string, unknown>> {
    const response = await fetch(`http://${this.lab.addressOf('a')}:${PORT}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    return (await response.json()) as Record<string, unknown>;
  }

  /** @returns the code of the refusal, or `sent` */
  private async sendSingle(): Promise<string> {
    const body = `single ${this.singles.size}`;
    const answer = await this.post(`/v1/topics/${SINGLE_TOPIC}/messages`, { body });
    const error = answer['error'] as { readonly code?: string } | undefined;
    const code = error?.code ?? ('receipts' in answer ? 'sent' : 'nothing');
    this.singles.set(body, code);
    return code;
  }

  private async judgeSingles(): Promise<NetReport['single']> {
    const found = await this.storedSingles();
    const count = (isMeant: (code: string, times: number) => boolean): number =>
      [...this.singles].filter(([body, code]) => isMeant(code, found.get(body) ?? 0)).length;
    return {
      sent: count((code) => code === 'sent'),
      lost: count((code, times) => code === 'sent' && times === 0),
      storedAllTheSame: count((code, times) => code === 'SLAVE_NOT_AVAILABLE' && times > 0),
      doubled: count((_, times) => times > 1),
    };
  }

  /** Body → how often it is in the log. */
  private async storedSingles(): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    const client = await connect({ servers: `${this.lab.addressOf('a')}:${PORT}` });
    for (let offset = 0; ; ) {
      const page = await client.fetch({ topic: SINGLE_TOPIC, queueId: 0, offset, waitMs: 0 });
      if (page.messages.length === 0) break;
      for (const { body } of page.messages)
        found.set(String(body), (found.get(String(body)) ?? 0) + 1);
      offset = page.nextOffset;
    }
    await client.close();
    return found;
  }
}
