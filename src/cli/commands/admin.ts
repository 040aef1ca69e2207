/** `sluice admin`: what operators ask and do, over the broker's HTTP side. The parts are loaded together: they are small. */
import type { Command } from 'commander';
import { ApiClient } from '../api-client.ts';
import { type NameServerStates, nameServerLines } from '../name-server-lines.ts';
import { Output, sizeText } from '../output.ts';
import { type AskOptions, addAskOptions, targetOf } from '../target.ts';
import { addClusterCommands } from './admin-cluster.ts';
import { addDelayedCommands } from './admin-delayed.ts';
import { addGroupCommands } from './admin-groups.ts';
import { addMessageCommands } from './admin-messages.ts';
import { addOffsetCommands } from './admin-offsets.ts';
import { addReplicationCommands } from './admin-replication.ts';
import { addTopicCommands } from './admin-topics.ts';
import { addTransactionCommands } from './admin-transactions.ts';

export function addAdminCommand(program: Command): void {
  const admin = program
    .command('admin')
    .summary('look at and change topics, groups, offsets and messages')
    .description('Looks at and changes what a broker has, over its HTTP side.');
  addTopicCommands(admin);
  addGroupCommands(admin);
  addOffsetCommands(admin);
  addMessageCommands(admin);
  addDelayedCommands(admin);
  addTransactionCommands(admin);
  addReplicationCommands(admin);
  addClusterCommands(admin);
  addAskOptions(
    admin.command('status').description('show the broker: version, transport, shards'),
  ).action(brokerStatus);
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
  readonly namesrv?: NameServerStates;
};

async function brokerStatus(options: AskOptions): Promise<void> {
  const output = new Output(options);
  const status = await new ApiClient(targetOf(options)).get<BrokerStatus>('/api/broker');
  output.json(status);
  if (output.isJson) return;
  const { name, version, uptimeSeconds, transport, transportReason, flush, dataDir } = status;
  output.text(`${name}, version ${version}, up for ${uptimeSeconds} s`);
  output.text(`transport ${transport}: ${transportReason ?? ''}`);
  output.text(`flush ${flush}, data ${dataDir ?? 'in memory'}`);
  for (const line of nameServerLines(status)) output.text(line);
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
