/** What every process of a cluster is at the moment, asked of it over HTTP; and how fast its log grows. */
import type { Clock } from '../base/clock.ts';
import { MIB } from '../base/units.ts';
import type { BrokerPlan } from './cluster-plan.ts';
import type { Supervisor } from './supervisor.ts';

/** One line of the table. */
export type ProcessStatus = {
  readonly name: string;
  readonly state: 'up' | 'down' | 'silent';
  /** `namesrv`, or what the broker is now: another one than it started as, after a promotion. */
  readonly role: string;
  readonly brokerName: string | null;
  readonly brokerId: number | null;
  readonly address: string;
  readonly haAddress: string | null;
  readonly epoch: number | null;
  /** Bytes, all shards. */
  readonly appended: number | null;
  readonly commit: number | null;
  /** Bytes that the slave furthest behind lacks; null without slaves. */
  readonly lagBytes: number | null;
  /** A slave follows every shard of it; false for what is no master. */
  readonly isFollowed: boolean;
  /** Since the last look. */
  readonly bytesPerSecond: number | null;
};

/** The part of `GET /api/replication` that is shown. */
type ReplicationFacts = {
  readonly role: string;
  readonly epoch: number;
  readonly ack: string;
  readonly haAddress: string | null;
  readonly shards: readonly {
    readonly appended: number;
    readonly commit: number;
    readonly slaves?: readonly { readonly phase: string; readonly lagBytes: number }[];
  }[];
};

const ANSWER_MS_MAX = 2000;
const MS_PER_SECOND = 1000;

/** JSON of a broker; undefined when it does not answer so. */
export async function askJson<Value>(url: string): Promise<Value | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    return response.ok ? ((await response.json()) as Value) : undefined;
  } catch {
    return undefined;
  }
}

export class ClusterStatus {
  private readonly supervisor: Supervisor;
  private readonly clock: Clock;
  private readonly before = new Map<string, { readonly atMs: number; readonly bytes: number }>();

  constructor(supervisor: Supervisor, clock: Clock) {
    this.supervisor = supervisor;
    this.clock = clock;
  }

  /** NameServers first. */
  async look(): Promise<readonly ProcessStatus[]> {
    const { nameServers, brokers } = this.supervisor.plan;
    const first = nameServers.map(({ name, port }): ProcessStatus => {
      const state = this.supervisor.isAlive(name) ? 'up' : 'down';
      return { ...NOTHING, name, state, role: 'namesrv', address: `127.0.0.1:${port}` };
    });
    return [...first, ...(await Promise.all(brokers.map((plan) => this.lookAt(plan))))];
  }

  private async lookAt(plan: BrokerPlan): Promise<ProcessStatus> {
    const { name, brokerName, brokerId, role, port } = plan;
    const known = { ...NOTHING, name, brokerName, brokerId, role, address: `127.0.0.1:${port}` };
    if (!this.supervisor.isAlive(name)) return { ...known, state: 'down' };
    const facts = await askJson<ReplicationFacts>(
      `${this.supervisor.httpOf(plan)}/api/replication`,
    );
    if (facts === undefined) return { ...known, state: 'silent' };
    const appended = sum(facts.shards.map((shard) => shard.appended));
    const lags = facts.shards.flatMap(({ slaves = [] }) => slaves.map(({ lagBytes }) => lagBytes));
    return {
      ...known,
      state: 'up',
      role: facts.role === 'slave' ? 'SLAVE' : facts.ack,
      epoch: facts.epoch,
      haAddress: facts.haAddress,
      appended,
      commit: sum(facts.shards.map((shard) => shard.commit)),
      lagBytes: lags.length === 0 ? null : Math.max(...lags),
      isFollowed: facts.shards.every(({ slaves = [] }) => slaves.some(isFollowing)),
      bytesPerSecond: this.rateOf(name, appended),
    };
  }

  private rateOf(name: string, bytes: number): number | null {
    const before = this.before.get(name);
    const atMs = this.clock.monotonicMs();
    this.before.set(name, { atMs, bytes });
    if (before === undefined || atMs <= before.atMs) return null;
    return Math.max(0, Math.round(((bytes - before.bytes) * MS_PER_SECOND) / (atMs - before.atMs)));
  }
}

const NOTHING = {
  brokerName: null,
  brokerId: null,
  haAddress: null,
  epoch: null,
  appended: null,
  commit: null,
  lagBytes: null,
  isFollowed: false,
  bytesPerSecond: null,
} as const;

/** It gets what is appended as it is appended. */
function isFollowing({
  phase,
  lagBytes,
}: {
  readonly phase: string;
  readonly lagBytes: number;
}): boolean {
  return phase === 'streaming' && lagBytes < MIB;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
