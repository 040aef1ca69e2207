/** `sluice admin clusterList | topicRoute | topicStatus | consumerProgress`: mqadmin's names and columns, asked by NameServers. */
import type { Command } from 'commander';
import type { RouteBroker } from '../../client/route-answer.ts';
import { ApiClient, pathPart } from '../api-client.ts';
import {
  addNamesrvOption,
  type MasterTarget,
  masterTargets,
  type NamesrvTargetOptions,
  nameServersOf,
  targetOfMember,
} from '../namesrv-target.ts';
import { type Column, Output, timeText } from '../output.ts';
import { UsageError } from '../report-error.ts';

type Common = NamesrvTargetOptions & {
  readonly json?: boolean;
  readonly topic?: string;
  readonly groupName?: string;
};

type MemberRow = {
  readonly cluster: string;
  readonly brokerName: string;
  readonly brokerId: number;
  readonly address: string | null;
  readonly version: string | null;
  readonly role: string | null;
  readonly epoch: number;
  readonly position: number | null;
};

const MEMBER_COLUMNS: readonly Column<MemberRow>[] = [
  { title: '#Cluster Name', value: ({ cluster }) => cluster },
  { title: '#Broker Name', value: ({ brokerName }) => brokerName },
  { title: '#BID', value: ({ brokerId }) => brokerId },
  { title: '#Addr', value: ({ address }) => address },
  { title: '#Version', value: ({ version }) => version },
  { title: '#Role', value: ({ role }) => role },
  { title: '#Epoch', value: ({ epoch }) => epoch },
  { title: '#Position', value: ({ position }) => position },
];

type RouteRow = {
  readonly cluster: string;
  readonly brokerName: string;
  readonly addresses: string;
  readonly readQueues: number;
  readonly writeQueues: number;
  readonly perm: string;
};

const ROUTE_COLUMNS: readonly Column<RouteRow>[] = [
  { title: '#Cluster Name', value: ({ cluster }) => cluster },
  { title: '#Broker Name', value: ({ brokerName }) => brokerName },
  { title: '#Broker Addrs', value: ({ addresses }) => addresses },
  { title: '#Read Queue', value: ({ readQueues }) => readQueues },
  { title: '#Write Queue', value: ({ writeQueues }) => writeQueues },
  { title: '#Perm', value: ({ perm }) => perm },
];

type QueueRow = {
  readonly brokerName: string;
  readonly queueId: number;
  readonly minOffset: number;
  readonly maxOffset: number;
  readonly lastStoredAtMs: number | null;
};

const QUEUE_COLUMNS: readonly Column<QueueRow>[] = [
  { title: '#Broker Name', value: ({ brokerName }) => brokerName },
  { title: '#QID', value: ({ queueId }) => queueId },
  { title: '#Min Offset', value: ({ minOffset }) => minOffset },
  { title: '#Max Offset', value: ({ maxOffset }) => maxOffset },
  { title: '#Last Updated', value: ({ lastStoredAtMs }) => timeText(lastStoredAtMs) },
];

type ProgressRow = {
  readonly topic: string;
  readonly brokerName: string;
  readonly queueId: number;
  readonly brokerOffset: number;
  readonly consumerOffset: number;
  readonly clientIP: string | null;
  readonly diff: number;
  readonly inFlight: number;
};

const PROGRESS_COLUMNS: readonly Column<ProgressRow>[] = [
  { title: '#Topic', value: ({ topic }) => topic },
  { title: '#Broker Name', value: ({ brokerName }) => brokerName },
  { title: '#QID', value: ({ queueId }) => queueId },
  { title: '#Broker Offset', value: ({ brokerOffset }) => brokerOffset },
  { title: '#Consumer Offset', value: ({ consumerOffset }) => consumerOffset },
  { title: '#Client IP', value: ({ clientIP }) => clientIP },
  { title: '#Diff', value: ({ diff }) => diff },
  { title: '#Inflight', value: ({ inFlight }) => inFlight },
];

type GroupAnswer = {
  readonly members: readonly {
    readonly subscription: number;
    readonly topic: string;
    readonly address: string;
    readonly queues: readonly number[];
  }[];
  readonly queues: readonly {
    readonly topic: string;
    readonly queueId: number;
    readonly ackedThrough: number;
    readonly maxOffset: number;
    readonly lag: number;
    readonly inFlight: number;
    readonly owner: number | null;
  }[];
};

export function addClusterCommands(admin: Command): void {
  common(admin.command('clusterList').description('list the brokers of a cluster')).action(
    clusterList,
  );
  const topicOption = (command: Command): Command =>
    common(command.argument('[topic]')).option(
      '-t, --topic <topic>',
      'the same, as mqadmin has it',
    );
  topicOption(admin.command('topicRoute').description('show which brokers have a topic')).action(
    topicRoute,
  );
  topicOption(
    admin.command('topicStatus').description('show the queues of a topic on all brokers'),
  ).action(topicStatus);
  common(
    admin
      .command('consumerProgress')
      .description('show how far a consumer group is on all brokers')
      .argument('[group]'),
  )
    .option('-g, --group-name <group>', 'the same, as mqadmin has it')
    .action(consumerProgress);
}

function common(command: Command): Command {
  return addNamesrvOption(command)
    .option('--token <token>', 'authToken of the brokers; better in SLUICE_TOKEN')
    .option('--json', 'print JSON, a row a line');
}

function named(what: string, argument: string | undefined, option: string | undefined): string {
  const name = argument ?? option;
  if (name !== undefined && (argument === undefined || option === undefined)) return name;
  throw new UsageError(`name one ${what}`, `Give it as an argument or as an option.`);
}

async function clusterList(options: Common): Promise<void> {
  const output = new Output(options);
  const { value, url } = await nameServersOf(options).cluster();
  const rows = await Promise.all(
    value.flatMap((broker) =>
      broker.members.map(async (member): Promise<MemberRow> => {
        const target = targetOfMember(member, url, options);
        const { brokerId, role, epoch, position } = member;
        return {
          ...{ cluster: broker.cluster, brokerName: broker.brokerName, brokerId },
          address: target === undefined ? member.brokerAddr : new URL(target.ws).host,
          version: target === undefined ? null : await versionOf(new ApiClient(target)),
          ...{ role: role ?? null, epoch, position: position ?? null },
        };
      }),
    ),
  );
  output.rows(MEMBER_COLUMNS, rows, 'no broker is registered');
}

/** Null for a broker that does not answer: that is news, and no reason to say nothing. */
async function versionOf(api: ApiClient): Promise<string | null> {
  try {
    return (await api.get<{ readonly version: string }>('/api/broker')).version;
  } catch {
    return null;
  }
}

async function topicRoute(argument: string | undefined, options: Common): Promise<void> {
  const output = new Output(options);
  const topic = named('topic', argument, options.topic);
  const { value } = await nameServersOf(options).route(topic);
  output.rows(ROUTE_COLUMNS, value.map(routeRow), 'no broker has it');
}

function routeRow(broker: RouteBroker): RouteRow {
  const { cluster, brokerName, members, readQueues, queues, mayRead, mayWrite } = broker;
  return {
    ...{ cluster, brokerName, readQueues, writeQueues: queues },
    addresses: members.map((one) => `${one.brokerId}=${one.brokerAddr}`).join(' '),
    perm: `${mayRead ? 'R' : '-'}${mayWrite ? 'W' : '-'}`,
  };
}

async function topicStatus(argument: string | undefined, options: Common): Promise<void> {
  const output = new Output(options);
  const topic = named('topic', argument, options.topic);
  const { value, url } = await nameServersOf(options).route(topic);
  const rows = await fromAll(masterTargets(value, url, options), async (brokerName, api) => {
    const path = `/api/topics/${pathPart(topic)}`;
    const { queues } = await api.get<{ queues: readonly QueueRow[] }>(path);
    return queues.map(({ queueId, minOffset, maxOffset, lastStoredAtMs }) => ({
      ...{ brokerName, queueId, minOffset, maxOffset, lastStoredAtMs },
    }));
  });
  output.rows(QUEUE_COLUMNS, rows, 'no queues');
}

async function consumerProgress(argument: string | undefined, options: Common): Promise<void> {
  const output = new Output(options);
  const group = named('group', argument, options.groupName);
  const { value, url } = await nameServersOf(options).cluster();
  let unknownTo = 0;
  const masters = masterTargets(value, url, options);
  const rows = await fromAll(masters, async (brokerName, api) => {
    const { status, text } = await api.raw('GET', `/api/groups/${pathPart(group)}`);
    if (status === 404) {
      unknownTo += 1;
      if (unknownTo < masters.length) return [];
    }
    // Asked again where it is refused, for the error that it is.
    const answer =
      status === 200
        ? (JSON.parse(text) as GroupAnswer)
        : await api.get<GroupAnswer>(`/api/groups/${pathPart(group)}`);
    return progressRows(brokerName, answer);
  });
  output.rows(PROGRESS_COLUMNS, rows, 'it has consumed nothing yet');
  const diffTotal = rows.reduce((sum, { diff }) => sum + diff, 0);
  const inFlightTotal = rows.reduce((sum, { inFlight }) => sum + inFlight, 0);
  output.text(`\nConsume Diff Total: ${diffTotal}\nConsume Inflight Total: ${inFlightTotal}`);
}

function progressRows(brokerName: string, { members, queues }: GroupAnswer): ProgressRow[] {
  return queues.map(({ topic, queueId, ackedThrough, maxOffset, lag, inFlight, owner }) => ({
    ...{ topic, brokerName, queueId, brokerOffset: maxOffset, consumerOffset: ackedThrough },
    clientIP: members.find((one) => one.subscription === owner)?.address ?? null,
    ...{ diff: lag, inFlight },
  }));
}

/** What all masters say, in the order of their names. @throws what the first that fails answers */
async function fromAll<Row>(
  masters: readonly MasterTarget[],
  ask: (brokerName: string, api: ApiClient) => Promise<readonly Row[]>,
): Promise<readonly Row[]> {
  const rows = await Promise.all(
    masters.map(({ brokerName, target }) => ask(brokerName, new ApiClient(target))),
  );
  return rows.flat();
}
