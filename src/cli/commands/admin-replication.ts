/** `sluice admin brokerStatus`, `promote`, `resumeWrites`: what a broker is to others that have its log. */
import type { Command } from 'commander';
import { ApiClient } from '../api-client.ts';
import { type NameServerStates, nameServerLines } from '../name-server-lines.ts';
import { type Column, Output, sizeText } from '../output.ts';
import { type AskOptions, addAskOptions, targetOf } from '../target.ts';

type Slave = {
  readonly name: string;
  readonly phase: string;
  readonly sent: number;
  readonly acked: number;
  readonly lagBytes: number;
};

type ReplicatedShard = {
  readonly shard: number;
  readonly appended: number;
  readonly flushed: number;
  readonly commit: number;
  /** These are missing while the replication thread does not answer. */
  readonly state?: string;
  readonly replicated?: number;
  readonly refusal?: string;
  readonly slaves?: readonly Slave[];
};

type Replication = {
  readonly brokerName: string;
  readonly brokerId: number;
  readonly role: string;
  readonly epoch: number;
  readonly decidedBy: string;
  readonly ack: string;
  readonly haAddress: string | null;
  readonly master: string | null;
  readonly refusals: number | null;
  readonly shards: readonly ReplicatedShard[];
  readonly namesrv?: NameServerStates;
};

const SHARD_COLUMNS: readonly Column<ReplicatedShard>[] = [
  { title: 'shard', value: ({ shard }) => shard },
  { title: 'state', value: ({ state }) => state ?? 'unknown' },
  { title: 'appended', value: ({ appended }) => appended },
  { title: 'flushed', value: ({ flushed }) => flushed },
  { title: 'replicated', value: ({ replicated }) => replicated },
  { title: 'commit', value: ({ commit }) => commit },
  { title: 'last refusal', value: ({ refusal }) => (refusal === '' ? null : refusal) },
];

const SLAVE_COLUMNS: readonly Column<Slave & { readonly shard: number }>[] = [
  { title: 'shard', value: ({ shard }) => shard },
  { title: 'slave', value: ({ name }) => name },
  { title: 'phase', value: ({ phase }) => phase },
  { title: 'sent', value: ({ sent }) => sent },
  { title: 'confirmed', value: ({ acked }) => (acked < 0 ? null : acked) },
  { title: 'lag', value: ({ lagBytes }) => sizeText(lagBytes) },
];

export function addReplicationCommands(admin: Command): void {
  addAskOptions(
    admin
      .command('brokerStatus')
      .description('show role, epoch, positions, and the slaves of a broker'),
  ).action(brokerStatus);
  addAskOptions(
    admin
      .command('promote')
      .description(
        'make a slave the master, under a new epoch; its old master is fenced when it hears of that',
      )
      .option('--broker-role <role>', 'ASYNC_MASTER (default) or SYNC_MASTER')
      .option('--force', 'also while its master is alive and connected'),
  ).action(promote);
  addAskOptions(
    admin
      .command('resumeWrites')
      .description(
        'say that no slave has more than this master: it takes writes without comparing',
      ),
  ).action(resumeWrites);
}

async function brokerStatus(options: AskOptions): Promise<void> {
  const output = new Output(options);
  const status = await new ApiClient(targetOf(options)).get<Replication>('/api/replication');
  output.json(status);
  if (output.isJson) return;
  const { brokerName, brokerId, role, epoch, decidedBy, ack, haAddress, master, shards } = status;
  output.text(`${brokerName} ${brokerId}: ${role}, epoch ${epoch}, by ${decidedBy}`);
  if (role === 'master') output.text(`${ack}, slaves find it at ${haAddress ?? 'no port'}`);
  else output.text(`its master is ${master ?? 'not known'}`);
  for (const line of nameServerLines(status)) output.text(line);
  output.rows(SHARD_COLUMNS, shards, 'no shards');
  if (role !== 'master') return;
  const slaves = shards.flatMap(({ shard, slaves: ofShard = [] }) =>
    ofShard.map((slave) => ({ ...slave, shard })),
  );
  output.rows(SLAVE_COLUMNS, slaves, 'no slaves are connected');
}

async function promote(
  options: AskOptions & { readonly force?: boolean; readonly brokerRole?: string },
): Promise<void> {
  const { force, brokerRole } = options;
  const output = new Output(options);
  const answer = await new ApiClient(targetOf(options)).post<Replication & { changed: boolean }>(
    '/api/replication/promote',
    {
      ...(force === undefined ? {} : { force }),
      ...(brokerRole === undefined ? {} : { brokerRole }),
    },
  );
  output.json(answer);
  if (output.isJson) return;
  const { changed, epoch } = answer;
  output.text(
    changed ? `It is master now, epoch ${epoch}.` : `It was master already, epoch ${epoch}.`,
  );
}

async function resumeWrites(options: AskOptions): Promise<void> {
  const output = new Output(options);
  const answer = await new ApiClient(targetOf(options)).post<object>(
    '/api/replication/resumeWrites',
    {},
  );
  output.json(answer);
  if (!output.isJson) output.text('It takes writes, as far as its role allows that.');
}
