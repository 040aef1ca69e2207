/** Which NameServers a command asks, and the brokers that they name: options over environment over the default. */
import type { Command } from 'commander';
import { SluiceError } from '../base/errors.ts';
import { NameServers, nameServerUrls } from '../client/name-servers.ts';
import { nodeRuntime } from '../client/node.ts';
import type { RouteBroker, RouteMember } from '../client/route-answer.ts';
import { httpUrlOf, reachableAddresses, webSocketUrls } from '../client/servers.ts';
import { asUsage } from './report-error.ts';
import type { Target } from './target.ts';

const DEFAULT_NAMESRV = '127.0.0.1:9876';
const ANSWER_MS_MAX = 5000;

/** Options as commander gives them. */
export type NamesrvTargetOptions = { readonly namesrv?: string; readonly token?: string };

export function addNamesrvOption(command: Command, isDefault = true): Command {
  const otherwise = isDefault ? `; default ${DEFAULT_NAMESRV}` : '';
  return command.option(
    '-n, --namesrv <addresses>',
    `NameServers of a cluster, host:9876 with ; between (SLUICE_NAMESRV_ADDR, NAMESRV_ADDR${otherwise})`,
  );
}

/** The option, or what the environment says. */
function namesrvOf(options: NamesrvTargetOptions): string {
  const { env } = process;
  return options.namesrv ?? env['SLUICE_NAMESRV_ADDR'] ?? env['NAMESRV_ADDR'] ?? DEFAULT_NAMESRV;
}

/** Base URLs of the NameServers. @throws UsageError */
export function namesrvUrls(options: NamesrvTargetOptions): readonly string[] {
  return asUsage(() => nameServerUrls(namesrvOf(options)));
}

/** @throws UsageError */
export function nameServersOf(options: NamesrvTargetOptions): NameServers {
  return new NameServers(nodeRuntime(), namesrvUrls(options), ANSWER_MS_MAX);
}

/** Where a broker's HTTP and WebSocket are; undefined for a broker of RocketMQ. */
export function targetOfMember(
  member: RouteMember,
  nameServer: string,
  { token: given }: NamesrvTargetOptions,
): Target | undefined {
  const [first] = reachableAddresses(member.webSocketAddrs, nameServer);
  if (first === undefined) return undefined;
  const [ws = first] = webSocketUrls(first);
  const token = given ?? process.env['SLUICE_TOKEN'] ?? process.env['SLUICE_AUTH_TOKEN'];
  return { ws, http: httpUrlOf(ws), token: token === '' ? undefined : token };
}

/** A master and where it is. */
export type MasterTarget = { readonly brokerName: string; readonly target: Target };

/** The masters among brokers. @throws DISCONNECTED when there is none that speaks HTTP */
export function masterTargets(
  brokers: readonly RouteBroker[],
  nameServer: string,
  options: NamesrvTargetOptions,
): readonly MasterTarget[] {
  const masters = brokers.flatMap(({ brokerName, members }) => {
    const master = members.find(({ brokerId }) => brokerId === 0);
    const target = master === undefined ? undefined : targetOfMember(master, nameServer, options);
    return target === undefined ? [] : [{ brokerName, target }];
  });
  if (masters.length > 0) return masters;
  throw new SluiceError('DISCONNECTED', `${nameServer} knows no master that can be asked`, {
    hint: 'Is a broker running with this NameServer as its namesrvAddr? See: sluice admin clusterList',
  });
}
