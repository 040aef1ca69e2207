/** Each fault as two acts: what breaks, and what a person does about it afterwards. */
import { rmSync, writeFileSync } from 'node:fs';
import { SluiceError } from '../base/errors.ts';
import type { ByteProxy } from './byte-proxy.ts';
import { type BrokerPlan, propertiesTextOf } from './cluster-plan.ts';
import type { Fault } from './drill-table.ts';
import type { Supervisor } from './supervisor.ts';

/** What the acts work on. */
export type FaultScene = {
  readonly supervisor: Supervisor;
  /** The master that suffers. */
  readonly master: BrokerPlan;
  /** Its slave; undefined in shapes without. */
  readonly slave: BrokerPlan | undefined;
  /** Between the two; only for a partition. */
  readonly proxy: ByteProxy | undefined;
};

export type FaultActs = {
  readonly strike: (scene: FaultScene) => Promise<void>;
  readonly mend: (scene: FaultScene) => Promise<void>;
};

/** Milliseconds that a broker has for being promoted. */
const PROMOTE_MS_MAX = 30_000;

const slaveOf = ({ slave }: FaultScene): BrokerPlan => {
  if (slave !== undefined) return slave;
  throw new SluiceError('INVALID_ARGUMENT', 'this cluster has no slave');
};

/** The acts by fault. */
export const FAULT_ACTS: Readonly<Record<Fault, FaultActs>> = {
  'kill-master': {
    strike: ({ supervisor, master }) => supervisor.processOf(master.name).kill(),
    mend: async ({ supervisor, master }) => void (await supervisor.startOne(master)),
  },
  'kill-slave': {
    strike: (scene) => scene.supervisor.processOf(slaveOf(scene).name).kill(),
    mend: async (scene) => void (await scene.supervisor.startOne(slaveOf(scene))),
  },
  partition: {
    strike: async ({ proxy }) => {
      // A cut of what nobody uses would prove nothing.
      if (proxy === undefined || proxy.connections === 0)
        throw new SluiceError('UNSUPPORTED', 'the slave does not reach its master by the proxy');
      proxy.cut();
    },
    mend: async ({ proxy }) => proxy?.heal(),
  },
  'disk-loss': { strike: loseDisk, mend: rejoin },
  'slow-slave': {
    strike: async (scene) => scene.supervisor.processOf(slaveOf(scene).name).signal('SIGSTOP'),
    mend: async (scene) => scene.supervisor.processOf(slaveOf(scene).name).signal('SIGCONT'),
  },
  'kill-namesrv': {
    strike: async ({ supervisor }) => {
      const { nameServers } = supervisor.plan;
      await Promise.all(nameServers.map(({ name }) => supervisor.processOf(name).kill()));
    },
    mend: async ({ supervisor }) => {
      for (const plan of supervisor.plan.nameServers) await supervisor.startOne(plan);
    },
  },
};

async function loseDisk(scene: FaultScene): Promise<void> {
  const { supervisor, master } = scene;
  await supervisor.processOf(master.name).kill();
  rmSync(master.dataDir, { recursive: true, force: true });
  await promote(supervisor.httpOf(slaveOf(scene)), master.role);
}

/** As `sluice admin promote` does. */
async function promote(http: string, brokerRole: string): Promise<void> {
  const response = await fetch(`${http}/api/replication/promote`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ brokerRole }),
    signal: AbortSignal.timeout(PROMOTE_MS_MAX),
  });
  if (!response.ok)
    throw new SluiceError('UNSUPPORTED', `the slave was not promoted: ${await response.text()}`);
}

/** The old master, with a new and empty disk, becomes the slave of the new one. */
async function rejoin(scene: FaultScene): Promise<void> {
  const { supervisor, master } = scene;
  const young = slaveOf(scene);
  const plan: BrokerPlan = {
    ...master,
    ...{ brokerId: young.brokerId, role: 'SLAVE' },
    properties: {
      ...master.properties,
      ...{ brokerId: String(young.brokerId), brokerRole: 'SLAVE' },
      haMasterAddress: `127.0.0.1:${young.haPort}`,
    },
  };
  writeFileSync(plan.propertiesFile, propertiesTextOf(plan), { mode: 0o600 });
  await supervisor.startOne(plan);
}
