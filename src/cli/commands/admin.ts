/** `sluice admin`: what operators ask and do, over the broker's HTTP side. The parts are loaded together: they are small. */
import type { Command } from 'commander';
import { ApiClient } from '../api-client.ts';
import { Output, sizeText } from '../output.ts';
import { addTargetOptions, type TargetOptions, targetOf } from '../target.ts';
import { addClusterCommands } from './admin-cluster.ts';
import { addGroupCommands } from './admin-groups.ts';
import { addMessageCommands } from './admin-messages.ts';
import { addOffsetCommands } from './admin-offsets.ts';
import { addReplicationCommands } from './admin-replication.ts';
import { addTopicCommands } from './admin-topics.ts';

export function addAdminCommand(program: Command): void {
  const admin = program
    .command('admin')
    .summary('look at and change topics, groups, offsets and messages')
    .description('Looks at and changes what a broker has, over its HTTP side.');
  addTopicCommands(admin);
  addGroupCommands(admin);
  addOffsetCommands(admin);
  addMessageCommands(admin);
  addReplicationCommands(admin);
  addClusterCommands(admin);
  addTargetOptions(
    admin.command('status').description('show the broker: version, transport, shards'),
  )
    .option('--json', 'print JSON')
    .action(brokerStatus);
}

type ShardStatus = {
  readonly shard: number;
  readonly state: string;
  readonly reason?: string | null;
  readonly appended?: number;
  readonly flushed?: number;
  readonly commit?: number;
  readonly logStart?: number;
};

type BrokerStatus = {
  readonly name: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly transport: string;
  readonly transportReason?: string;
  readonly flush: string;
  readonly dataDir: string | null;
  readonly shards: readonly ShardStatus[];
};

async function brokerStatus(options: TargetOptions & { json?: boolean }): Promise<void> {
  const output = new Output(options);
  const status = await new ApiClient(targetOf(options)).get<BrokerStatus>('/api/broker');
  output.json(status);
  if (output.isJson) return;
  const { name, version, uptimeSeconds, transport, transportReason, flush, dataDir } = status;
  output.text(`${name}, version ${version}, up for ${uptimeSeconds} s`);
  output.text(`transport ${transport}: ${transportReason ?? ''}`);
  output.text(`flush ${flush}, data ${dataDir ?? 'in memory'}`);
  output.rows<ShardStatus>(
    [
      { title: 'shard', value: ({ shard }) => shard },
      { title: 'state', value: ({ state }) => state },
      {
        title: 'log',
        value: ({ appended, logStart }) =>
          appended === undefined ? null : sizeText(appended - (logStart ?? 0)),
      },
      { title: 'appended', value: ({ appended }) => appended },
      { title: 'flushed', value: ({ flushed }) => flushed },
      { title: 'commit', value: ({ commit }) => commit },
      { title: 'reason', value: ({ reason }) => reason },
    ],
    status.shards,
    'no shards',
  );
}
