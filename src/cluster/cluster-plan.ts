/**
 * What a cluster on one host consists of: the four shapes that RocketMQ's tutorials give, each as processes with names, ports
 * and a properties file that a person can read and start again by hand. Pure.
 */
import { join } from 'node:path';

/** The four shapes. */
export const SHAPES = ['1m', '2m', '2m-2s-async', '2m-2s-sync'] as const;

/** Masters, then slaves, then when a master acknowledges. */
export type Shape = (typeof SHAPES)[number];

/** What a broker is when it starts. */
export type PlannedRole = 'ASYNC_MASTER' | 'SYNC_MASTER' | 'SLAVE';

/** A process and the file it starts from. */
export type ProcessPlan = {
  /** Of its directory and its log file: `namesrv`, `broker-a`, `broker-a-s`. */
  readonly name: string;
  /** Command of `sluice`. */
  readonly command: 'namesrv' | 'broker';
  /** The port by which clients find it. */
  readonly port: number;
  readonly propertiesFile: string;
  readonly properties: Readonly<Record<string, string>>;
};

/** A broker among them. */
export type BrokerPlan = ProcessPlan & {
  readonly command: 'broker';
  readonly brokerName: string;
  readonly brokerId: number;
  readonly role: PlannedRole;
  /** Where slaves find it while it is master. */
  readonly haPort: number;
  readonly dataDir: string;
};

/** A whole cluster, in the order in which it starts. */
export type ClusterPlan = {
  readonly shape: Shape;
  readonly root: string;
  readonly nameServers: readonly ProcessPlan[];
  readonly brokers: readonly BrokerPlan[];
};

type ShapeFacts = {
  readonly masters: number;
  readonly hasSlaves: boolean;
  readonly masterRole: PlannedRole;
};

const FACTS: Readonly<Record<Shape, ShapeFacts>> = {
  '1m': { masters: 1, hasSlaves: false, masterRole: 'ASYNC_MASTER' },
  '2m': { masters: 2, hasSlaves: false, masterRole: 'ASYNC_MASTER' },
  '2m-2s-async': { masters: 2, hasSlaves: true, masterRole: 'ASYNC_MASTER' },
  '2m-2s-sync': { masters: 2, hasSlaves: true, masterRole: 'SYNC_MASTER' },
};

/** Port of the first NameServer where nobody says otherwise. @source RocketMQ NamesrvStartup */
export const BASE_PORT = 9876;
const HOST = '127.0.0.1';
const BROKER_PORTS = 3;
const BROKER_NAMES: readonly string[] = ['broker-a', 'broker-b'];

/** Whether masters of the shape have slaves. */
export function hasSlaves(shape: Shape): boolean {
  return FACTS[shape].hasSlaves;
}

/** Ports that a shape takes: one for the NameServer, three for each broker. */
export function portCountOf(shape: Shape): number {
  const { masters, hasSlaves: isPaired } = FACTS[shape];
  return 1 + BROKER_PORTS * masters * (isPaired ? 2 : 1);
}

/** @param ports - as many as `portCountOf` says: NameServer first, then the client port, the HA port and RocketMQ's port of each broker */
export function planCluster(shape: Shape, root: string, ports: readonly number[]): ClusterPlan {
  const [nameServerPort = 0, ...brokerPorts] = ports;
  const namesrvAddr = `${HOST}:${nameServerPort}`;
  const { masters, hasSlaves: isPaired, masterRole } = FACTS[shape];
  const brokers = BROKER_NAMES.slice(0, masters).flatMap((brokerName) => {
    const count = isPaired ? 2 : 1;
    const pair = brokerPorts.splice(0, BROKER_PORTS * count);
    return Array.from({ length: count }, (_, brokerId) => {
      const role = brokerId === 0 ? masterRole : 'SLAVE';
      const [port = 0, haPort = 0, remotingPort = 0] = pair.slice(BROKER_PORTS * brokerId);
      // Each knows the other: a master that was replaced while it was away finds that out before it takes writes.
      const peerHaPort = pair[brokerId === 0 ? BROKER_PORTS + 1 : 1];
      return planBroker({
        ...{ root, namesrvAddr, brokerName, brokerId, role, port, haPort, remotingPort },
        peerHaPort: isPaired ? peerHaPort : undefined,
      });
    });
  });
  return { shape, root, nameServers: [planNameServer(root, nameServerPort)], brokers };
}

function planNameServer(root: string, port: number): ProcessPlan {
  return {
    ...{ name: 'namesrv', command: 'namesrv', port },
    propertiesFile: join(root, 'namesrv.properties'),
    properties: { bindAddress: HOST, listenPort: String(port) },
  };
}

function planBroker(facts: {
  readonly root: string;
  readonly namesrvAddr: string;
  readonly brokerName: string;
  readonly brokerId: number;
  readonly role: PlannedRole;
  readonly port: number;
  readonly haPort: number;
  readonly remotingPort: number;
  readonly peerHaPort: number | undefined;
}): BrokerPlan {
  const { root, namesrvAddr, brokerName, brokerId, role, port, haPort, remotingPort, peerHaPort } =
    facts;
  const name = brokerId === 0 ? brokerName : `${brokerName}-s`;
  const dataDir = join(root, name);
  const properties = {
    brokerClusterName: 'DefaultCluster',
    ...{ brokerName, brokerId: String(brokerId), brokerRole: role, namesrvAddr },
    frontDoorPort: String(port),
    haListenPort: String(haPort),
    listenPort: String(remotingPort),
    ...(peerHaPort === undefined ? {} : { haMasterAddress: `${HOST}:${peerHaPort}` }),
    flushDiskType: 'SYNC_FLUSH',
    autoCreateTopicEnable: 'true',
    storePathRootDir: dataDir,
  };
  return {
    ...{ name, command: 'broker', port, haPort, brokerName, brokerId, role, dataDir, properties },
    propertiesFile: join(root, `${name}.properties`),
  };
}

/** The properties file of a process. */
export function propertiesTextOf({ command, propertiesFile, properties }: ProcessPlan): string {
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}`);
  return [`# sluice ${command} -c ${propertiesFile}`, ...lines, ''].join('\n');
}
