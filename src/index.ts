/** Public door: broker and NameServer inside any Node program. Nothing but re-exports. */
export {
  ERROR_CODES,
  type ErrorCategory,
  type ErrorCode,
  type ErrorDefinition,
} from './base/error-codes.ts';
export { type ErrorBody, type ErrorFacts, SluiceError } from './base/errors.ts';
export type { LogFact, LogFacts, Logger, LogLevel } from './base/log-sink.ts';
export {
  type Broker,
  type BrokerOptions,
  type BrokerReady,
  createBroker,
} from './broker/create-broker.ts';
export type { BrokerConfig } from './config/config-schema.ts';
export {
  createNameServer,
  type NameServer,
  type NameServerOptions,
  type NameServerReady,
  type NameServerStatistics,
} from './nameserver/nameserver.ts';
export type { NameServerCounters } from './nameserver/nameserver-core.ts';
export type { NameServerSwitches } from './nameserver/nameserver-settings.ts';
