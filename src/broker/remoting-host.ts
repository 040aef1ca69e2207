/** The port of RocketMQ's clients on this broker: whether there is one, where, and what it is given. Main thread, at start. */
import type { Acceptor } from '../acceptor/acceptor.ts';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import type { Logger } from '../base/log-sink.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import { aclFileOf, asksWho } from '../config/remoting-settings.ts';
import { type HostBytes, hostBytesOf } from '../protocol/remoting/host-bytes.ts';
import type { AccessSource } from '../remoting/access-guard.ts';
import { rulesOfOneKey } from '../remoting/access-rights.ts';
import type { AdminFacts } from '../remoting/admin-facts.ts';
import { RemotingContext } from '../remoting/remoting-context.ts';
import { RemotingPort } from '../remoting/remoting-port.ts';
import { readTlsRule } from '../transport/tls-files.ts';
import { advertisedHosts } from './advertised-addresses.ts';

const LOOPBACK = '127.0.0.1';

export type RemotingHostOptions = {
  readonly config: BrokerConfig;
  /** Tried where the configuration names no port; undefined: then there is none. */
  readonly portDefault: number | undefined;
  readonly acceptor: Acceptor;
  readonly facts: AdminFacts;
  readonly isSlave: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * Opens it and answers requests.
 *
 * @returns undefined when there is to be none, or the port that nobody named is taken: then the broker goes on without
 * @throws INVALID_ARGUMENT when the port that the configuration names is taken
 */
export async function openRemoting(
  options: RemotingHostOptions,
): Promise<RemotingPort | undefined> {
  const { config, portDefault, acceptor, clock, log } = options;
  const port = config.remotingPort ?? portDefault;
  if (port === undefined) return undefined;
  if (config.remotingPort === undefined && config.authToken !== undefined && !asksWho(config)) {
    log.info('no-remoting', {
      reason: 'authToken is set, which the clients of RocketMQ cannot send',
    });
    return undefined;
  }
  const remoting = new RemotingPort({
    ...{ host: config.listenAddress, port, clock, log },
    connectionsMax: config.connectionsMax,
    connectionsPerAddressMax: config.connectionsPerAddressMax,
    inFlightMax: config.inFlightRequestsMax,
    sendLimits: acceptor.core.config,
    access: await accessOf(config, log),
    tls: readTlsRule(config),
  });
  try {
    await remoting.listen();
  } catch (error) {
    if (config.remotingPort !== undefined || !(error instanceof SluiceError)) throw error;
    log.warn('no-remoting', { port, reason: error.message, next: 'set remotingPort' });
    return undefined;
  }
  remoting.serve(contextOf(options, remoting.port));
  return remoting;
}

/** @throws INVALID_ARGUMENT when there is to be a file of accounts, and it cannot be read or is wrong */
async function accessOf(config: BrokerConfig, log: Logger): Promise<AccessSource | undefined> {
  const file = aclFileOf(config);
  if (file !== undefined) {
    // Not loaded, and YAML with it, by who does not need it.
    const { AclFileSource } = await import('./acl-file-source.ts');
    return new AclFileSource(file, log);
  }
  const { accessKey, secretKey } = config;
  if (accessKey === undefined || secretKey === undefined) return undefined;
  return { rules: rulesOfOneKey(accessKey, secretKey), changed: () => undefined };
}

function contextOf(
  { config, acceptor, facts, isSlave }: RemotingHostOptions,
  port: number,
): RemotingContext {
  return new RemotingContext({
    ...{ core: acceptor.core, facts, isSlave },
    identity: {
      clusterName: config.brokerClusterName,
      brokerName: config.brokerName,
      storeHost: storeHostOf(config, port),
    },
    autoCreateTopics: config.autoCreateTopicEnable === true,
    sendsToSlaves: config.slaveReadEnable,
    defaultTopicQueues: config.defaultTopicQueueNums,
  });
}

/** The first advertised host that is an address: a message has no place for a name. */
function storeHostOf(config: BrokerConfig, port: number): HostBytes {
  const hosts = [...advertisedHosts(config), LOOPBACK].map((host) => hostBytesOf(host, port));
  return hosts.find((host) => host !== undefined) as HostBytes;
}
