/** Which settings of a broker's role go together, and whether it has replication at all. Control path, at start only. */
import type { BrokerConfig } from './config-schema.ts';
import { isLoopback, splitHostAndPort } from './text-kinds.ts';

/** Does this broker have an HA port or a master? Without it is a broker of one, with nothing more in its memory. */
export function hasReplication(config: BrokerConfig): boolean {
  const { brokerRole, haListenPort, haMasterAddress } = config;
  return [brokerRole, haListenPort, haMasterAddress].some((value) => value !== undefined);
}

/** Settings of the role that are fine one by one and not together. */
export function roleContradictions(config: BrokerConfig): readonly string[] {
  if (!hasReplication(config) && config.brokerId === 0) return [];
  const { brokerId, brokerRole = 'ASYNC_MASTER', haMasterAddress, inSyncReplicas } = config;
  const problems: string[] = [];
  if (brokerRole === 'SLAVE') {
    if (brokerId === 0)
      problems.push('brokerId is 0 and brokerRole is SLAVE; allowed: 1 or more for a slave');
    if (haMasterAddress === undefined && config.namesrvAddr === undefined)
      problems.push(
        'brokerRole is SLAVE, and nothing says where its master is; allowed: haMasterAddress (host:port of the master), or namesrvAddr',
      );
  } else if (brokerId !== 0)
    problems.push(
      `brokerId is ${brokerId} and brokerRole is ${brokerRole}; allowed: 0 for a master, or brokerRole SLAVE`,
    );
  if (brokerRole === 'SYNC_MASTER' && inSyncReplicas < 2)
    problems.push(
      `inSyncReplicas is ${inSyncReplicas} and brokerRole is SYNC_MASTER; allowed: 2 or more (the master counts), or ASYNC_MASTER`,
    );
  if (config.memory && hasReplication(config))
    problems.push('memory is true, and there is replication; allowed: one of the two');
  const master = haMasterAddress === undefined ? undefined : splitHostAndPort(haMasterAddress);
  if (master !== undefined && !isLoopback(master.host) && config.haToken === undefined)
    problems.push(
      `haMasterAddress is ${JSON.stringify(haMasterAddress)}, on another machine, and there is no haToken; allowed: haToken or haTokenFile with the credential of the master`,
    );
  return problems;
}
