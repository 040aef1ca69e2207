import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readBrokerConf } from '../../src/config/broker-conf.ts';
import { checkGivenValues } from '../../src/config/config-check.ts';
import type { BrokerConfig } from '../../src/config/config-schema.ts';
import { hasReplication } from '../../src/config/role-check.ts';

/** As RocketMQ's own conf/2m-2s-sync/broker-a.properties, with what tutorials add to it. */
const TUTORIAL = `
brokerClusterName=DefaultCluster
brokerName=broker-b
brokerId=0
namesrvAddr=rocketmq1:9876;rocketmq2:9876
defaultTopicQueueNums=4
autoCreateTopicEnable=true
autoCreateSubscriptionGroup=true
listenPort=10911
deleteWhen=04
fileReservedTime=120
mapedFileSizeCommitLog=1073741824
mapedFileSizeConsumeQueue=300000
diskMaxUsedSpaceRatio=88
storePathRootDir=/var/lib/rocketmq/store
storePathCommitLog=/var/lib/rocketmq/store/commitlog
maxMessageSize=65536
flushIntervalCommitLog=1000
messageDelayLevel=1s 5s 10s 30s 1m
brokerRole=SYNC_MASTER
brokerIP1=192.168.1.5
brokerIP2=192.168.1.5
flushDiskType=ASYNC_FLUSH
#checkTransactionMessageEnable=false
sendMessageThreadPoolNums=128
`;

function configOf(content: string): BrokerConfig {
  const { given, problems } = readBrokerConf(content, 'broker.conf');
  return checkGivenValues([given], problems).config;
}

describe('a broker.conf of RocketMQ', () => {
  it('means here what it means there', () => {
    const config = configOf(TUTORIAL);
    assert.equal(config.brokerName, 'broker-b');
    assert.equal(config.defaultTopicQueueNums, 4);
    assert.equal(config.autoCreateTopicEnable, true);
    assert.equal(config.fileReservedTimeHours, 120);
    assert.equal(config.segmentBytes, 1_073_741_824);
    assert.equal(config.diskSoftRatio, 0.88);
    assert.equal(config.storePathRootDir, '/var/lib/rocketmq/store');
    assert.equal(config.maxMessageSize, 65_536);
    assert.equal(config.flushDiskType, 'ASYNC_FLUSH');
    assert.equal(config.flushIntervalMs, 1000);
    assert.equal(config.brokerRole, 'SYNC_MASTER');
    assert.equal(config.namesrvAddr, 'rocketmq1:9876;rocketmq2:9876');
    assert.equal(config.brokerIP2, '192.168.1.5');
    assert.deepEqual(config.retryBackoffMs, [10_000, 30_000, 60_000]);
    assert.deepEqual(config.messageDelayLevel, [1000, 5000, 10_000, 30_000, 60_000]);
    assert.equal(configOf('timerMaxDelaySec=86400').delayMsMax, 86_400_000);
  });

  it('may have keys that mean nothing here, each named once', () => {
    const { ignored } = readBrokerConf(`${TUTORIAL}\nstorePathCommitLog=/x`, 'broker.conf');
    assert.deepEqual(ignored, [
      'mapedFileSizeConsumeQueue',
      'storePathCommitLog',
      'sendMessageThreadPoolNums',
    ]);
  });

  it('flushes to disk before it acknowledges, when it does not say', () => {
    assert.equal(configOf('brokerName=broker-a').flushDiskType, 'SYNC_FLUSH');
  });

  it('may have settings that only we have', () => {
    assert.equal(configOf('frontDoorPort=9000\nshards = 2').frontDoorPort, 9000);
  });

  it('has replication when it names a role, a port or a master, and else none, whatever its NameServers', () => {
    assert.equal(hasReplication(configOf('brokerName=broker-a\nbrokerId=0')), false);
    for (const line of [
      'brokerRole=ASYNC_MASTER',
      'haListenPort=0',
      'haMasterAddress=127.0.0.1:10912',
    ])
      assert.equal(hasReplication(configOf(line)), true, line);
    assert.equal(hasReplication(configOf('namesrvAddr=127.0.0.1:9876')), false);
    assert.equal(configOf('syncFlushTimeout=1500').syncFlushTimeoutMs, 1500);
  });

  it('takes the last of two values, as Java does', () => {
    assert.equal(configOf('shards=1\nshards=2').shards, 2);
  });

  it('stops the start over a wrong value, with key, value and what is allowed', () => {
    const wrong = [
      [
        'diskMaxUsedSpaceRatio=96',
        /diskMaxUsedSpaceRatio is "96" \(broker.conf\); allowed: a perc/,
      ],
      [
        'mapedFileSizeCommitLog=1000',
        /segmentBytes is "1000" \(broker.conf, mapedFileSizeCommitLo/,
      ],
      [
        'messageDelayLevel=1s 5x 3m',
        /messageDelayLevel is "1s 5x 3m" \(broker.conf\); allowed: at l/,
      ],
      ['messageDelayLevel=1s 5s', /at least three delays/],
      ['flushDiskType=LATER', /flushDiskType is "LATER"/],
      ['brokerRole=LEADER', /brokerRole is "LEADER" \(broker.conf\); allowed: ASYNC_MASTER, SYNC_/],
      ['haMasterAddress=master', /haMasterAddress is "master" .*; allowed: host:port/],
      [
        'brokerRole=SLAVE\nhaMasterAddress=127.0.0.1:1',
        /brokerId is 0 and brokerRole is SLAVE; allow/,
      ],
      ['brokerId=1', /brokerId is 1 and brokerRole is ASYNC_MASTER; allowed: 0 for a master/],
      ['brokerId=1\nbrokerRole=SYNC_MASTER', /brokerId is 1 and brokerRole is SYNC_MASTER/],
      [
        'brokerId=1\nbrokerRole=SLAVE',
        /nothing says where its master is; allowed: haMasterAddress/,
      ],
      ['brokerRole=SYNC_MASTER\ninSyncReplicas=1', /inSyncReplicas is 1 and brokerRole is SYNC_MA/],
      [
        'brokerRole=SLAVE\nbrokerId=1\nhaMasterAddress=10.0.0.1:10912',
        /and there is no haToken; all/,
      ],
      ['brokerRole=ASYNC_MASTER\nmemory=true', /memory is true, and there is replication/],
      ['listenPort=many', /remotingPort is "many" .*listenPort/],
      ['fileReservedTime=', /fileReservedTimeHours is ""/],
    ] as const;
    for (const [line, expected] of wrong) assert.throws(() => configOf(line), expected, line);
  });

  it('stops the start over a key that looks like a mistyped one', () => {
    assert.throws(() => configOf('flushDiskTyp=ASYNC_FLUSH'), /did you mean flushDiskType\?/);
    assert.throws(() => configOf('mappedFileSizeCommitlog=1g'), /did you mean mappedFileSizeComm/);
  });
});
