/**
 * A fault, practised: a cluster of its own, load by clients, the fault, its repair, and what the clients saw. Everything waits
 * on state; only the time that the fault lasts is a time.
 */
import { type Clock, sleep } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { ByteProxy } from './byte-proxy.ts';
import type { BrokerPlan, ClusterPlan, Shape } from './cluster-plan.ts';
import { askJson, ClusterStatus } from './cluster-status.ts';
import { FAULT_ACTS, type FaultScene } from './drill-faults.ts';
import { LAGGING_CREDIT, type LaggingGroup } from './drill-lagging.ts';
import { DrillLoad } from './drill-load.ts';
import {
  brokenPromises,
  type DrillFindings,
  type Fault,
  type Promised,
  promisedOf,
} from './drill-table.ts';
import { Supervisor } from './supervisor.ts';

export type DrillOptions = {
  readonly fault: Fault;
  readonly plan: ClusterPlan;
  /** The file of the command `sluice`. */
  readonly main: string;
  readonly clock: Clock;
  /** Messages a second. */
  readonly rate: number;
  /** How long the fault lasts, milliseconds. */
  readonly faultMs: number;
  /** Told what happens. */
  readonly onStep: (step: string) => void;
  readonly signal: AbortSignal;
};

/** What clients saw, and whether it was what the shape promises. */
export type DrillReport = DrillFindings & {
  readonly drill: Fault;
  readonly shape: Shape;
  /** The longest time without an acknowledgement, and without a message, milliseconds. */
  readonly sendingGapMs: number;
  readonly receivingGapMs: number;
  /** From the queues of the broker with the fault while it lasted: read on from its slave, where it was a master's death. */
  readonly receivedInFault: number;
  readonly redelivered: number;
  /** Sends that were refused or not answered in time, by code; these were never said to be stored. */
  readonly refused: Readonly<Record<string, number>>;
  /** Milliseconds from the repair until slaves follow and the NameServer knows all brokers again. */
  readonly mendMs: number;
  readonly kept: boolean;
  /** Why not. */
  readonly broken: readonly string[];
};

const TOPIC = 'drill';
const GROUP = 'drill-group';
const LAGGING_GROUP = 'drill-lagging';
const QUEUES = 4;
/** Messages before the fault, and after its repair. */
const MESSAGES_BEFORE = 200;
const POLL_MS = 50;
const WAIT_MS_MAX = 120_000;
/** Milliseconds without a message after which the rest counts as lost. */
const SILENCE_MS_MAX = 20_000;
const JUST_BEFORE_MS = 1000;

/** @throws INVALID_ARGUMENT for a fault that the shape cannot have; TIMEOUT when the cluster does not come or come back */
export async function runDrill(options: DrillOptions): Promise<DrillReport> {
  const { fault, main, plan } = options;
  const promised = promisedOf(plan.shape, fault);
  const proxied = fault === 'partition' ? await withProxy(plan) : { plan, proxy: undefined };
  try {
    const supervisor = new Supervisor({ plan: proxied.plan, main, onExit: () => {} });
    const drill = new Drill(options, promised, supervisor, proxied.proxy);
    try {
      await supervisor.start();
      const found = await drill.run();
      const broken = brokenPromises(promised, found);
      return { drill: fault, shape: plan.shape, ...found, kept: broken.length === 0, broken };
    } finally {
      await drill.end();
      await supervisor.stop();
    }
  } finally {
    proxied.proxy?.close();
  }
}

/**
 * The first slave finds its master through a proxy: by its configuration, and by what the NameServer says, which is what the
 * master tells. A slave that is told another address goes there, past everything that could be cut.
 */
async function withProxy(
  plan: ClusterPlan,
): Promise<{ readonly plan: ClusterPlan; readonly proxy: ByteProxy | undefined }> {
  const proxy = await ByteProxy.beside(plan.brokers[0]?.haPort ?? 0);
  const changes = [{ brokerIP2: proxy.host }, { haMasterAddress: proxy.address }];
  const brokers = plan.brokers.map((broker, index) => ({
    ...broker,
    properties: { ...broker.properties, ...changes[index] },
  }));
  return { plan: { ...plan, brokers }, proxy };
}

type Found = Omit<DrillReport, 'drill' | 'shape' | 'kept' | 'broken'>;

class Drill {
  private readonly options: DrillOptions;
  private readonly promised: Promised;
  private readonly supervisor: Supervisor;
  private readonly status: ClusterStatus;
  private readonly load: DrillLoad;
  private readonly scene: FaultScene;

  constructor(
    options: DrillOptions,
    promised: Promised,
    supervisor: Supervisor,
    proxy: ByteProxy | undefined,
  ) {
    const { clock, rate } = options;
    this.options = options;
    this.promised = promised;
    this.supervisor = supervisor;
    this.status = new ClusterStatus(supervisor, clock);
    const nameServers = supervisor.namesrvAddr;
    this.load = new DrillLoad({ clock, rate, nameServers, topic: TOPIC, group: GROUP });
    const [master, next] = supervisor.plan.brokers;
    if (master === undefined) throw new SluiceError('INVALID_ARGUMENT', 'a cluster has brokers');
    const slave = next?.role === 'SLAVE' ? next : undefined;
    this.scene = { supervisor, master, slave, proxy };
  }

  async run(): Promise<Found> {
    const { fault, faultMs, onStep } = this.options;
    const { load, scene } = this;
    await this.untilServing();
    onStep('load begins');
    await load.start();
    const lagging = load.addLagging(LAGGING_GROUP);
    await this.until('messages pass', () => load.received >= MESSAGES_BEFORE);
    const acknowledgedJustBefore = load.acknowledgedBy(scene.master.brokerName, JUST_BEFORE_MS);
    const before = load.acknowledged;
    const receivedBefore = load.receivedFrom(scene.master.brokerName);
    onStep(`fault: ${fault}`);
    await FAULT_ACTS[fault].strike(scene);
    const inHand = lagging.receivedFrom(scene.master.brokerName) + LAGGING_CREDIT;
    const readOn = (): number =>
      Math.max(0, lagging.receivedFrom(scene.master.brokerName) - inHand);
    lagging.hurry();
    await this.pause(faultMs);
    // A machine that stood still for all that time has not shown yet whether sending goes on.
    if (this.promised.goesOn) await this.patience(() => load.acknowledged > before);
    if (this.promised.readsOn) await this.untilOrSilence(() => readOn() > 0, lagging);
    const acknowledgedInFault = load.acknowledged - before;
    const lastMs = Math.min(JUST_BEFORE_MS, faultMs / 2);
    const acknowledgedByStruck = load.acknowledgedBy(scene.master.brokerName, lastMs);
    const receivedInFault = load.receivedFrom(scene.master.brokerName) - receivedBefore;
    const laggingInFault = readOn();
    onStep('repair');
    const mendedAtMs = this.options.clock.monotonicMs();
    await FAULT_ACTS[fault].mend(scene);
    await this.until('everything is as before', () => this.isWhole());
    const mendMs = Math.round(this.options.clock.monotonicMs() - mendedAtMs);
    const target = load.acknowledged + MESSAGES_BEFORE;
    await this.until('messages pass again', () => load.acknowledged >= target);
    onStep('load ends');
    await load.stopSending();
    const lostByLagging = (): number => lagging.missingOf(load.acked);
    await this.untilOrSilence(() => load.missing + lostByLagging() === 0, lagging);
    return {
      ...load.report(),
      acknowledged: load.acknowledged,
      ...{ acknowledgedInFault, acknowledgedJustBefore, acknowledgedByStruck },
      ...{ receivedInFault, laggingInFault, lostByLagging: lostByLagging(), mendMs },
      movedInDoubt: load.movedInDoubt,
      redelivered: load.redelivered,
      sendingGapMs: Math.round(load.sending.ms),
      receivingGapMs: Math.round(load.receiving.ms),
      refused: Object.fromEntries(load.refused),
    };
  }

  async end(): Promise<void> {
    await this.load.close();
  }

  /** All brokers are known to the NameServer, masters take messages, and the topic is on each of them. */
  private async untilServing(): Promise<void> {
    const { brokers } = this.supervisor.plan;
    const masters = brokers.filter(({ role }) => role !== 'SLAVE');
    await this.until('all slaves follow', () => this.isEqual());
    for (const broker of masters) {
      const http = this.supervisor.httpOf(broker);
      await this.until(
        `${broker.name} takes messages`,
        async () => (await askJson(`${http}/readyz`)) !== undefined,
      );
      await createTopic(http);
    }
    await this.until('the NameServer knows all brokers', () => this.isRegistered(brokers));
  }

  private async isRegistered(brokers: readonly BrokerPlan[]): Promise<boolean> {
    const [nameServer] = this.supervisor.plan.nameServers;
    const url = `http://127.0.0.1:${nameServer?.port ?? 0}/v1/cluster`;
    const cluster = await askJson<{
      readonly brokers: readonly { readonly members: readonly object[] }[];
    }>(url);
    const members = cluster?.brokers.flatMap((broker) => broker.members) ?? [];
    return members.length === brokers.length;
  }

  private async isWhole(): Promise<boolean> {
    return (await this.isEqual()) && (await this.isRegistered(this.supervisor.plan.brokers));
  }

  /** Every process answers, and every slave counts as one that follows. */
  private async isEqual(): Promise<boolean> {
    const rows = await this.status.look();
    if (rows.some(({ state }) => state !== 'up')) return false;
    const slaves = rows.filter(({ role }) => role === 'SLAVE');
    const masters = rows.filter(({ role }) => role.endsWith('_MASTER'));
    return slaves.every(({ brokerName }) => {
      const master = masters.find((row) => row.brokerName === brokerName);
      return master?.isFollowed === true;
    });
  }

  /** What is waited for has come, or nothing comes any more. */
  private async untilOrSilence(hasCome: () => boolean, lagging: LaggingGroup): Promise<void> {
    const { load } = this;
    const { clock } = this.options;
    let received = -1;
    let changedAtMs = clock.monotonicMs();
    while (!hasCome()) {
      const now = lagging.received + (load.isSending ? 0 : load.received);
      if (now !== received) changedAtMs = clock.monotonicMs();
      received = now;
      if (clock.monotonicMs() - changedAtMs > SILENCE_MS_MAX) return;
      await this.pause(POLL_MS);
    }
  }

  /** Waits, but not for ever: what does not come is for the report to say. */
  private async patience(isTrue: () => boolean): Promise<void> {
    const { clock } = this.options;
    const endMs = clock.monotonicMs() + SILENCE_MS_MAX;
    while (!isTrue() && clock.monotonicMs() < endMs) await this.pause(POLL_MS);
  }

  private async until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
    const { clock } = this.options;
    const endMs = clock.monotonicMs() + WAIT_MS_MAX;
    while (!(await isTrue())) {
      if (clock.monotonicMs() > endMs)
        throw new SluiceError('TIMEOUT', `not within ${WAIT_MS_MAX} ms: ${what}`);
      await this.pause(POLL_MS);
    }
  }

  /** In small steps, so that Ctrl-C does not wait. */
  private async pause(ms: number): Promise<void> {
    const { clock, signal } = this.options;
    const endMs = clock.monotonicMs() + ms;
    do {
      signal.throwIfAborted();
      await sleep(Math.min(ms, POLL_MS));
    } while (clock.monotonicMs() < endMs);
  }
}

async function createTopic(http: string): Promise<void> {
  const response = await fetch(`${http}/api/topics`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ topic: TOPIC, queues: QUEUES }),
  });
  if (response.ok) return;
  throw new SluiceError(
    'UNSUPPORTED',
    `the topic ${TOPIC} was not created: ${await response.text()}`,
  );
}
