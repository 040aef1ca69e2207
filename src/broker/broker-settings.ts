/** The settings of a broker as its parts want them: plain values. */
import type { AcceptorConfig } from '../acceptor/acceptor-options.ts';
import { GROUPS_MAX, TOPICS_MAX } from '../base/limits.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import type { ShardConfig } from '../shard/shard-config.ts';

const HOUR_MS = 3_600_000;

export function acceptorConfigOf(config: BrokerConfig): AcceptorConfig {
  return {
    authToken: config.authToken ?? null,
    allowedOrigins: config.allowedOrigins,
    allowedHosts: [...config.allowedHosts, config.listenAddress],
    autoCreateTopics: config.autoCreateTopicEnable ?? false,
    autoCreateGroups: config.autoCreateSubscriptionGroup,
    defaultTopicQueues: config.defaultTopicQueueNums,
    defaultMaxAttempts: config.maxAttempts,
    defaultRetryBackoffMs: config.retryBackoffMs,
    defaultLeaseMs: config.leaseMs,
    delayMsMax: config.delayMsMax,
    delayLevelsMs: config.messageDelayLevel,
    transactionTimeoutMs: config.transactionTimeOut,
    bodyBytesMax: config.maxMessageSize,
    inFlightRequestsMax: config.inFlightRequestsMax,
    topicsMax: TOPICS_MAX,
    groupsMax: GROUPS_MAX,
    messagesPerSecondMax: config.rateLimitMessagesPerSecond ?? 0,
    bytesPerSecondMax: config.rateLimitBytesPerSecond ?? 0,
  };
}

export function shardConfigOf(config: BrokerConfig, shard: number, shards: number): ShardConfig {
  return {
    shard,
    shards,
    flushMode: config.flushDiskType,
    isVolatile: config.memory,
    flushIntervalMs: config.flushIntervalMs,
    segmentBytes: config.segmentBytes,
    segmentsAhead: config.segmentsAhead,
    tailBytes: config.tailBytes,
    retentionMs: config.fileReservedTimeHours * HOUR_MS,
    retentionBytes: config.retentionBytes ?? null,
    diskHardRatio: config.diskHardRatio,
    diskSoftRatio: config.diskSoftRatio,
    transactionCheckMax: config.transactionCheckMax,
    transactionCheckIntervalMs: config.transactionCheckInterval,
  };
}
