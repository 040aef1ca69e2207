/** Who serves what, as brokers come, change, fall silent, lose their connection and come back. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NAMESRV_REFUSED_MAX } from '../../src/base/limits.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../../src/protocol/remoting/response-codes.ts';
import { NameServerRig } from '../../src/testing/nameserver-rig.ts';
import { registration } from '../../src/testing/remoting-client.ts';

const MASTER = { brokerAddr: '10.0.0.1:10911' };
const SLAVE = { brokerId: 1, brokerAddr: '10.0.0.2:10911' };
const OTHER = { brokerName: 'broker-b', brokerAddr: '10.0.0.3:10911' };

describe('brokers that register', () => {
  it('are in the routes of their topics, masters and slaves', () => {
    const rig = new NameServerRig();
    rig.register(MASTER);
    rig.register(OTHER, 2);
    const answer = rig.register(SLAVE, 3);
    assert.equal(
      rig.routeText('T1'),
      'broker-a:0=10.0.0.1:10911,1=10.0.0.2:10911 broker-b:0=10.0.0.3:10911',
    );
    assert.deepEqual(
      [...(answer.fields ?? [])],
      [
        ['haServerAddr', '10.0.0.1:10912'],
        ['masterAddr', '10.0.0.1:10911'],
      ],
    );
    assert.equal(rig.register(MASTER).fields?.size, 0, 'a master is told of no master');
    assert.deepEqual(rig.route('T1')?.queueDatas[0], {
      brokerName: 'broker-a',
      readQueueNums: 4,
      writeQueueNums: 4,
      perm: 6,
      topicSysFlag: 0,
    });
  });

  it('again with the same version change nothing, with another one they do', () => {
    const rig = new NameServerRig();
    rig.register(MASTER);
    rig.register({ ...MASTER, topics: [{ topicName: 'T1', writeQueueNums: 9 }, 'T2'] });
    assert.equal(rig.route('T1')?.queueDatas[0]?.writeQueueNums, 4);
    const topics = [{ topicName: 'T1', writeQueueNums: 9 }];
    rig.register({ ...MASTER, counter: 2, topics });
    assert.equal(rig.route('T1')?.queueDatas[0]?.writeQueueNums, 9);
    assert.notEqual(rig.route('T2'), undefined, 'a topic that is not named stays');
  });

  it('may tell two topics that were made at once in two registrations of one version', () => {
    const rig = new NameServerRig();
    rig.register(MASTER);
    rig.register({ ...MASTER, counter: 3, topics: ['new-a'] });
    rig.register({ ...MASTER, counter: 3, topics: ['new-b', { topicName: 'T1', perm: 2 }] });
    for (const topic of ['new-a', 'new-b'])
      assert.equal(rig.routeText(topic), 'broker-a:0=10.0.0.1:10911', topic);
    assert.equal(rig.route('T1')?.queueDatas[0]?.perm, 6, 'a topic that is known stays as it is');
  });

  it('lose topics that they no longer name only where that is switched on', () => {
    const rig = new NameServerRig();
    rig.core.options.switches.deleteTopicWithBrokerRegistration = true;
    rig.register(MASTER);
    rig.register(OTHER);
    rig.register({ ...MASTER, counter: 2, topics: ['T2', 'T3'] });
    assert.equal(rig.routeText('T1'), 'broker-b:0=10.0.0.3:10911');
    assert.notEqual(rig.routeText('T3'), '');
  });

  it('with one topic first are taken, and asked for the rest', () => {
    const rig = new NameServerRig();
    rig.register({ ...MASTER, topics: ['T1'] });
    assert.notEqual(rig.routeText('T1'), '');
    // The same version with all topics: what came first may have been the change only.
    rig.register(MASTER);
    assert.notEqual(rig.routeText('T2'), '');
  });

  it('at a new address take the place of the old one', () => {
    const rig = new NameServerRig();
    rig.register(MASTER);
    rig.register({ brokerAddr: '10.0.0.9:10911', counter: 2 }, 2);
    assert.equal(rig.routeText('T1'), 'broker-a:0=10.0.0.9:10911');
    rig.core.connectionClosed(1);
    assert.equal(rig.routeText('T1'), 'broker-a:0=10.0.0.9:10911');
    assert.equal(rig.core.routes.brokers.brokerCount, 1);
  });

  it('under another id or name leave the old one', () => {
    const rig = new NameServerRig();
    rig.register(MASTER);
    rig.register(SLAVE);
    rig.core.routes.forget(rig.core.routes.brokers.broker(MASTER.brokerAddr) as never);
    rig.register({ ...SLAVE, brokerId: 0, counter: 5 });
    assert.equal(rig.routeText('T1'), 'broker-a:0=10.0.0.2:10911');
    rig.register({ ...SLAVE, brokerId: 0, brokerName: 'broker-z' });
    assert.equal(rig.routeText('T1'), 'broker-z:0=10.0.0.2:10911');
  });

  it('with an older state than the holder of their id are left out', () => {
    const rig = new NameServerRig();
    rig.register({ ...MASTER, stateVersion: 5 });
    const answer = rig.register({ brokerAddr: '10.0.0.9:10911', stateVersion: 4, counter: 9 });
    assert.equal(answer.code ?? 0, 0);
    assert.equal(rig.routeText('T1'), 'broker-a:0=10.0.0.1:10911');
  });

  it('with a name of another cluster are refused', () => {
    const rig = new NameServerRig();
    rig.register(MASTER);
    const answer = rig.register({ brokerAddr: '10.0.0.9:10911', clusterName: 'Else' });
    assert.equal(answer.code, RESPONSE_CODES.SYSTEM_ERROR);
    assert.match(answer.remark ?? '', /broker-a is in use in the cluster DefaultCluster/);
  });
});

describe('SluiceMQ brokers with one name and id', () => {
  const ours = (brokerAddr: string, more: object = {}): object => ({
    brokerAddr,
    fields: { webSocketAddrs: brokerAddr, epoch: '1' },
    ...more,
  });
  const A = '10.0.0.1:8880';
  const B = '10.0.0.2:8880';

  it('the second is refused while the first lives, with both addresses; nothing changes', () => {
    const rig = new NameServerRig();
    rig.register(ours(A), 1);
    for (const counter of [1, 2]) {
      const { code, remark } = rig.register(ours(B, { counter, topics: ['T9', 'T8'] }), 2);
      assert.equal(code, RESPONSE_CODES.CONTROLLER_BROKER_ID_INVALID);
      assert.match(remark ?? '', /^broker-a, id 0, lives at 10\.0\.0\.1:8880: .*brokerId/);
    }
    assert.equal(rig.routeText('T1'), `broker-a:0=${A}`);
    assert.equal(rig.route('T9'), undefined);
    const place = { brokerName: 'broker-a', brokerId: 0, brokerAddr: B };
    const refused = { ...place, holderAddr: A, connectionId: 2, refusedAtMs: 1000 };
    assert.deepEqual(rig.core.refused.all(), [refused]);
    rig.core.connectionClosed(2);
    assert.deepEqual(rig.core.refused.all(), [], 'who has gone asks no more');
    rig.register(ours(A, { counter: 3 }), 1);
    assert.equal(rig.routeText('T1'), `broker-a:0=${A}`);
  });

  it('slaves too', () => {
    const rig = new NameServerRig();
    rig.register(ours(A, { brokerId: 1 }), 1);
    const { code } = rig.register(ours(B, { brokerId: 1 }), 2);
    assert.equal(code, RESPONSE_CODES.CONTROLLER_BROKER_ID_INVALID);
  });

  it('the second is taken at once when the connection of the first has closed, or it was silent', () => {
    const rig = new NameServerRig();
    rig.register(ours(A), 1);
    rig.register(ours(B), 2);
    rig.core.connectionClosed(1);
    assert.equal(rig.register(ours(B), 2).code ?? 0, 0);
    assert.equal(rig.routeText('T1'), `broker-a:0=${B}`);
    assert.deepEqual(rig.core.refused.all(), []);
    assert.notEqual(rig.register(ours(A), 3).code ?? 0, 0);
    rig.nowMs += 120_001;
    rig.core.scan();
    assert.equal(rig.register(ours(A), 3).code ?? 0, 0);
  });

  it('a promoted one takes the place of the old master, which is fenced then', () => {
    const rig = new NameServerRig();
    rig.register(ours(A), 1);
    const promoted = ours(B, { fields: { webSocketAddrs: B, epoch: '2' } });
    assert.equal(rig.register(promoted, 2).code ?? 0, 0);
    assert.equal(rig.routeText('T1'), `broker-a:0=${B}`);
    const { code } = rig.register(ours(A, { counter: 2 }), 1);
    assert.equal(code, RESPONSE_CODES.CONTROLLER_FENCED_MASTER_EPOCH);
  });

  it('a restart at the same address is taken at once; of two processes there the earlier one is refused', () => {
    const rig = new NameServerRig();
    rig.register(ours(A, { startedAtMs: 5 }), 1);
    assert.equal(rig.register(ours(A, { startedAtMs: 9 }), 2).code ?? 0, 0);
    // Still there on its older connection: it was no restart.
    const { code, remark } = rig.register(ours(A, { startedAtMs: 5, counter: 2 }), 1);
    assert.equal(code, RESPONSE_CODES.CONTROLLER_BROKER_ID_INVALID);
    assert.match(
      remark ?? '',
      /another process has registered broker-a, id 0, at 10\.0\.0\.1:8880/,
    );
    rig.ask(REQUEST_CODES.UNREGISTER_BROKER, registration(ours(A)), 1);
    assert.equal(rig.routeText('T1'), `broker-a:0=${A}`, 'nor does it take the other one away');
    // One process that knows this NameServer by two names has two connections.
    assert.equal(rig.register(ours(A, { startedAtMs: 9, counter: 3 }), 1).code ?? 0, 0);
  });

  it('are remembered in bounds, and not for ever', () => {
    const rig = new NameServerRig();
    rig.register(ours(A), 1);
    for (let port = 1; port <= NAMESRV_REFUSED_MAX + 9; port += 1)
      rig.register(ours(`10.0.0.2:${port}`), 2);
    assert.equal(rig.core.refused.all().length, NAMESRV_REFUSED_MAX);
    rig.nowMs += 120_001;
    assert.deepEqual(rig.core.refused.all(), []);
  });
});

describe('brokers that go', () => {
  const bothOf = (): NameServerRig => {
    const rig = new NameServerRig();
    rig.register(MASTER, 1);
    rig.register(SLAVE, 2);
    rig.register(OTHER, 3);
    return rig;
  };

  it('are forgotten at once when their connection closes; the slave stays', () => {
    const rig = bothOf();
    rig.core.connectionClosed(1);
    assert.equal(rig.routeText('T1'), 'broker-a:1=10.0.0.2:10911 broker-b:0=10.0.0.3:10911');
    rig.core.connectionClosed(2);
    assert.equal(rig.routeText('T1'), 'broker-b:0=10.0.0.3:10911');
    rig.core.connectionClosed(3);
    assert.equal(rig.route('T1'), undefined);
    assert.equal(rig.core.routes.topicCount, 0);
    assert.equal(rig.core.counters.brokersDisconnected, 3);
  });

  it('stay when they have registered on another connection since', () => {
    const rig = bothOf();
    rig.register(MASTER, 9);
    rig.core.connectionClosed(1);
    assert.match(rig.routeText('T1'), /0=10\.0\.0\.1/);
    rig.core.connectionClosed(9);
    assert.doesNotMatch(rig.routeText('T1'), /0=10\.0\.0\.1/);
  });

  it('are forgotten after 120 s of silence, not before, and not when they speak', () => {
    const rig = bothOf();
    rig.nowMs += 60_000;
    rig.register(SLAVE, 2);
    rig.ask(REQUEST_CODES.BROKER_HEARTBEAT, {
      fields: {
        clusterName: 'DefaultCluster',
        brokerName: 'broker-b',
        brokerAddr: OTHER.brokerAddr,
      },
    });
    rig.nowMs += 60_000;
    rig.core.scan();
    assert.equal(rig.core.routes.brokers.brokerCount, 3, 'exactly 120 s are not too many');
    rig.nowMs += 1;
    rig.core.scan();
    assert.equal(rig.routeText('T1'), 'broker-a:1=10.0.0.2:10911 broker-b:0=10.0.0.3:10911');
    assert.equal(rig.core.counters.brokersExpired, 1);
    assert.ok(rig.lines.some(({ event }) => event === 'broker-forgotten'));
  });

  it('may ask for another time', () => {
    const rig = new NameServerRig();
    rig.register({ ...MASTER, fields: { heartbeatTimeoutMillis: '5000' } });
    rig.nowMs += 5001;
    rig.core.scan();
    assert.equal(rig.core.routes.brokers.brokerCount, 0);
  });

  it('go when they say so, if it is they', () => {
    const rig = bothOf();
    const unregister = (brokerId: string, brokerName = 'broker-a'): void => {
      const answer = rig.ask(REQUEST_CODES.UNREGISTER_BROKER, {
        fields: { clusterName: 'DefaultCluster', brokerName, brokerId, ...MASTER },
      });
      assert.equal(answer.code ?? 0, 0);
    };
    unregister('1');
    unregister('0', 'broker-b');
    assert.equal(rig.core.routes.brokers.brokerCount, 3);
    unregister('0');
    assert.equal(rig.core.routes.brokers.brokerCount, 2);
  });

  it('come back with all of their topics', () => {
    const rig = bothOf();
    rig.core.connectionClosed(1);
    rig.core.connectionClosed(2);
    rig.register(MASTER, 4);
    assert.match(rig.routeText('T2'), /broker-a:0/);
  });
});

describe('a slave alone', () => {
  it('at a NameServer that never saw the master leads consumers to it, and no producers', () => {
    const rig = new NameServerRig();
    rig.register(SLAVE);
    assert.equal(rig.routeText('T1'), 'broker-a:1=10.0.0.2:10911');
    assert.equal(rig.route('T1')?.queueDatas[0]?.perm, 4);
    rig.register(MASTER, 2);
    assert.equal(rig.route('T1')?.queueDatas[0]?.perm, 6, 'the master says what it is');
  });

  it('is shown as master where brokers and NameServer agree on that', () => {
    const rig = new NameServerRig();
    const acting = { enableActingMaster: 'true' };
    rig.register({ ...MASTER, fields: acting });
    rig.register({ ...SLAVE, fields: acting }, 2);
    rig.core.connectionClosed(1);
    assert.equal(rig.routeText('T1'), 'broker-a:1=10.0.0.2:10911');
    assert.equal(rig.route('T1')?.queueDatas[0]?.perm, 4);
    rig.core.options.switches.supportActingMaster = true;
    assert.equal(rig.routeText('T1'), 'broker-a:0=10.0.0.2:10911');
  });
});

describe('epochs', () => {
  const withEpoch = (epoch: number, brokerAddr: string): object => ({
    brokerAddr,
    counter: epoch,
    fields: { epoch: String(epoch) },
  });

  it('fence a master that is not the newest, also after that one is gone', () => {
    const rig = new NameServerRig();
    const [old, promoted] = ['10.0.0.1:10911', '10.0.0.2:10911'];
    assert.equal(rig.register(withEpoch(3, old)).fields?.get('epoch'), '3');
    rig.register(withEpoch(4, promoted), 2);
    for (const attempt of [withEpoch(3, old), { brokerAddr: old }]) {
      const refused = rig.register(attempt, 3);
      assert.equal(refused.code, RESPONSE_CODES.CONTROLLER_FENCED_MASTER_EPOCH);
      assert.equal(refused.fields?.get('epoch'), '4');
      assert.match(refused.remark ?? '', /a master of epoch 4 was registered/);
    }
    assert.equal(rig.routeText('T1'), `broker-a:0=${promoted}`);
    rig.core.connectionClosed(2);
    assert.equal(rig.register(withEpoch(3, old), 4).code, 2000);
    assert.equal(rig.route('T1'), undefined);
    assert.equal(rig.register(withEpoch(4, old), 5).code ?? 0, 0);
  });

  it('of other brokers do not matter, and slaves have none', () => {
    const rig = new NameServerRig();
    rig.register(withEpoch(9, MASTER.brokerAddr));
    assert.equal(rig.register(OTHER).code ?? 0, 0);
    assert.equal(rig.register(SLAVE).code ?? 0, 0);
    assert.equal(rig.register(SLAVE).fields?.get('epoch'), '9');
  });
});

describe('zones', () => {
  it('are shown their own brokers, and others whose master is gone', () => {
    const rig = new NameServerRig();
    rig.register({ ...MASTER, fields: { __ZONE_NAME: 'z1' } }, 1);
    rig.register({ ...OTHER, fields: { __ZONE_NAME: 'z2' } }, 2);
    const names = (fields: Readonly<Record<string, string>>): string[] =>
      rig.route('T1', fields)?.brokerDatas.map(({ brokerName }) => brokerName) ?? [];
    assert.deepEqual(names({ __ZONE_NAME: 'Z2' }), ['broker-a', 'broker-b'], 'without the mode');
    assert.deepEqual(names({ __ZONE_NAME: 'Z2', __ZONE_MODE: 'true' }), ['broker-b']);
    rig.register({ ...SLAVE, fields: { __ZONE_NAME: 'z1' } }, 3);
    rig.core.connectionClosed(1);
    assert.deepEqual(names({ __ZONE_NAME: 'z2', __ZONE_MODE: 'true' }), ['broker-a', 'broker-b']);
  });
});
