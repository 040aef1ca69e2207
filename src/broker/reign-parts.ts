/** What `reign.ts` gives to the replication thread and understands of it. Pure. */
import type { BrokerConfig } from '../config/config-schema.ts';
import { HA_LISTEN_PORT } from '../config/replication-settings.ts';
import { GATE_FENCED, GATE_NO_SLAVE, GATE_OPEN } from '../log/log-memory.ts';
import type {
  HostAndPort,
  ReplicationStatus,
  ReplicationWorkerData,
} from '../replication/replication-messages.ts';
import type { DataDirectory } from './data-directory.ts';
import type { RoleRecord } from './role-file.ts';
import type { ShardHost } from './shard-host.ts';

/** @param reign - role and epoch of the thread @param peer - a slave's master, a master's possible successor */
export function workerDataOf(
  config: BrokerConfig,
  directory: DataDirectory,
  { role, epoch, ack }: Pick<RoleRecord, 'role' | 'epoch' | 'ack'>,
  peer: HostAndPort | undefined,
): ReplicationWorkerData {
  const { shards, segmentBytes, chunkBytes } = directory.shape;
  const host = config.haToken === undefined ? '127.0.0.1' : '0.0.0.0';
  return {
    ...{ role, epoch, segmentBytes, chunkBytes, peer },
    name: `${config.brokerName}|${config.brokerId}`,
    secret: config.haToken ?? '',
    directories: Array.from({ length: shards }, (_, shard) => directory.shardPath(shard)),
    isSyncMaster: ack === 'SYNC_MASTER',
    inSyncReplicas: config.inSyncReplicas,
    isSyncFlush: config.flushDiskType === 'SYNC_FLUSH',
    fallBehindBytesMax: config.haSlaveFallbehindMax,
    listen: { host, port: config.haListenPort ?? HA_LISTEN_PORT },
  };
}

/** What operators are shown of the shards; less of it while the thread does not answer. */
export function factsOf(
  shards: readonly Pick<ShardHost, 'config' | 'logMemory'>[],
  status: ReplicationStatus | undefined,
): object {
  return {
    refusals: status?.refusals ?? null,
    shards: shards.map(({ config: { shard }, logMemory }) => ({
      shard,
      appended: logMemory.appended.observe(),
      flushed: logMemory.flushed.observe(),
      commit: logMemory.commit.observe(),
      ...status?.shards.find((one) => one.shard === shard),
    })),
  };
}

/** Is the newest epoch in the log of every shard known? */
export function isKnown(status: ReplicationStatus | undefined): boolean {
  const shards = status?.shards ?? [];
  return shards.length > 0 && shards.every(({ logEpoch }) => logEpoch >= 0);
}

/** Why a master takes no sends; undefined when it does. */
export function gateReason(gate: number): string | undefined {
  if (gate === GATE_OPEN) return undefined;
  if (gate === GATE_NO_SLAVE) return 'no slave is connected and near (brokerRole SYNC_MASTER)';
  if (gate === GATE_FENCED) return 'another broker reigns under a newer epoch';
  return 'it takes nothing before it has compared its log with a slave';
}
