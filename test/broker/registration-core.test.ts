/** A broker and its NameServers on one clock that the test moves: registered, changed, silent, refused, gone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type RecordedLine, recordingLogger } from '../../src/base/log-sink.ts';
import { seededPrng } from '../../src/base/prng.ts';
import {
  RegistrationCore,
  type RegistrationFacts,
  type RegistrationNews,
} from '../../src/broker/registration-core.ts';
import { CommandView } from '../../src/protocol/remoting/command.ts';
import { decodeCommand } from '../../src/protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../../src/protocol/remoting/command-encoder.ts';
import { RESPONSE_CODES } from '../../src/protocol/remoting/response-codes.ts';
import { NameServerRig } from '../../src/testing/nameserver-rig.ts';
import { topicConfig as topicOf } from '../../src/testing/remoting-client.ts';

/** NameServers by index; undefined: nobody listens there. */
class Rig {
  nowMs = 1000;
  readonly servers: (NameServerRig | undefined)[];
  readonly core: RegistrationCore;
  readonly news: RegistrationNews[] = [];
  readonly lines: readonly RecordedLine[];
  facts: RegistrationFacts;
  /** Frames that wait for their NameServer, by index: nothing is answered within a call. */
  private readonly waiting: (() => void)[] = [];
  dials = 0;
  onTaken: (brokerId: number) => boolean = () => false;
  /** NameServers that take frames and never answer. */
  readonly silent = new Set<number>();

  constructor(count: number) {
    this.servers = Array.from({ length: count }, () => new NameServerRig());
    const { logger, lines } = recordingLogger();
    this.lines = lines;
    this.facts = {
      ...{ clusterName: 'c', brokerName: 'broker-a', brokerId: 0, brokerAddr: '10.0.0.1:8880' },
      ...{ haServerAddr: '10.0.0.1:10912', webSocketAddrs: ['10.0.0.1:8880', '127.0.0.1:8880'] },
      ...{ role: 'ASYNC_MASTER', epoch: 1, position: 4096 },
      topicTable: {
        dataVersion: { counter: 1, stateVersion: 0, timestamp: 1 },
        topics: [topicOf('T1')],
      },
    };
    this.core = new RegistrationCore({
      addresses: this.servers.map((_, index) => `n${index}:9876`),
      periodMs: 30_000,
      token: undefined,
      clock: { monotonicMs: () => this.nowMs, epochMs: () => this.nowMs },
      prng: seededPrng(1),
      log: logger,
      dial: (index) => this.waiting.push(() => this.dialled(index)),
      facts: () => this.facts,
      onNews: (news) => this.news.push(news),
      onTaken: (brokerId) => this.onTaken(brokerId),
    });
  }

  setTopics(counter: number, ...names: readonly string[]): void {
    const dataVersion = { counter, stateVersion: 0, timestamp: 1 };
    this.facts = { ...this.facts, topicTable: { dataVersion, topics: names.map(topicOf) } };
    this.core.changed();
  }

  /** Lets time go by, and everybody do what is theirs. */
  run(ms: number): void {
    const end = this.nowMs + ms;
    for (;;) {
      this.core.doWork();
      for (const one of this.waiting.splice(0)) one();
      if (this.waiting.length > 0) continue;
      const next = this.nowMs + this.core.msUntilDue();
      if (next > end) break;
      this.moveTo(Math.max(next, this.nowMs));
    }
    this.moveTo(end);
  }

  private moveTo(nowMs: number): void {
    this.nowMs = nowMs;
    for (const server of this.servers) if (server !== undefined) server.nowMs = nowMs;
  }

  private dialled(index: number): void {
    this.dials += 1;
    const server = this.servers[index];
    if (server === undefined) {
      this.core.failed(index, 'connection refused');
      return;
    }
    this.core.opened(index, {
      send: (bytes) => this.waiting.push(() => this.deliver(index, server, bytes)),
      close: () => {},
    });
  }

  private deliver(index: number, server: NameServerRig, bytes: Uint8Array): void {
    if (this.silent.has(index)) return;
    const command = new CommandView();
    assert.equal(decodeCommand(bytes, command), 'ok');
    const answer = server.core.handle({ command, connectionId: 1 });
    const { code = RESPONSE_CODES.SUCCESS, remark, fields, body } = answer;
    const head = { opaque: command.opaque, flag: 1 };
    this.core.received(index, encodeCommand({ ...head, code, remark, fields, body }));
  }
}

describe('a registration', () => {
  it('is with every NameServer at once, and says all that is known', () => {
    const rig = new Rig(2);
    rig.run(0);
    for (const server of rig.servers) {
      const broker = server?.core.routes.brokers.broker('10.0.0.1:8880');
      assert.deepEqual(broker?.further, {
        webSocketAddrs: ['10.0.0.1:8880', '127.0.0.1:8880'],
        role: 'ASYNC_MASTER',
        position: 4096,
      });
      assert.equal(broker?.epoch, 1);
      assert.equal(broker?.haServerAddr, '10.0.0.1:10912');
    }
    assert.ok(rig.core.status().every(({ registered }) => registered));
    assert.deepEqual(rig.news.at(-1), { epoch: 1, masterHaAddr: undefined });
  });

  it('is renewed within every period, so that nobody forgets it; silent it is forgotten after two minutes', () => {
    const rig = new Rig(1);
    const [server] = rig.servers as [NameServerRig];
    rig.run(1_000_000);
    server.core.scan();
    assert.equal(server.core.routes.brokers.brokerCount, 1);
    const { registrations } = server.core.counters;
    assert.ok(registrations >= 33 && registrations <= 40, `${registrations} registrations`);
    server.nowMs += 120_001;
    server.core.scan();
    assert.equal(server.core.routes.brokers.brokerCount, 0);
  });

  it('is told new and deleted topics soon, and a burst of them once', () => {
    const rig = new Rig(1);
    const [server] = rig.servers as [NameServerRig];
    rig.run(10);
    for (let counter = 2; counter < 50; counter += 1) rig.setTopics(counter, 'T1', `T${counter}`);
    rig.run(50);
    assert.equal(server.core.counters.registrations, 2);
    assert.ok(server.core.routes.queuesOf('T49') !== undefined);
    rig.setTopics(50, 'T49', 'T50');
    rig.run(50);
    assert.equal(server.core.routes.queuesOf('T1'), undefined, 'a deleted topic leaves the routes');
  });

  it('fails with one NameServer and stands with the others; it is tried with back-off, and told once', () => {
    const rig = new Rig(2);
    rig.servers[0] = undefined;
    rig.run(300_000);
    const [first, second] = rig.core.status();
    assert.deepEqual([first?.registered, first?.failure], [false, 'connection refused']);
    assert.equal(second?.registered, true);
    assert.ok(rig.dials > 20 && rig.dials < 120, `${rig.dials} dials`);
    assert.equal(rig.lines.filter(({ event }) => event === 'not-registered').length, 1);
    rig.servers[0] = new NameServerRig();
    rig.servers[0].nowMs = rig.nowMs;
    rig.run(15_000);
    assert.equal(rig.core.status()[0]?.registered, true);
  });

  it('is given up with one that does not answer, and tried anew', () => {
    const rig = new Rig(1);
    rig.silent.add(0);
    rig.run(6000);
    rig.run(1);
    assert.match(rig.core.status()[0]?.failure ?? '', /no answer/);
    rig.silent.clear();
    rig.run(15_000);
    assert.equal(rig.core.status()[0]?.registered, true);
  });

  it('of an old reign is refused, and the newer epoch told', () => {
    const rig = new Rig(1);
    const [server] = rig.servers as [NameServerRig];
    server.register({ brokerAddr: '10.0.0.2:8880', fields: { epoch: '7' }, clusterName: 'c' });
    rig.run(10);
    assert.equal(rig.core.status()[0]?.registered, false);
    assert.equal(rig.news.at(-1)?.epoch, 7);
  });

  it('is refused where another broker has the name and id: said loudly, asked again, and taken when the other goes', () => {
    const rig = new Rig(2);
    const [server] = rig.servers as [NameServerRig];
    const fields = { epoch: '1', webSocketAddrs: '10.0.0.2:8880' };
    server.register({ brokerAddr: '10.0.0.2:8880', fields, clusterName: 'c' }, 7);
    rig.run(59_000);
    const [first, second] = rig.core.status();
    assert.deepEqual([first?.registered, first?.isTaken], [false, true]);
    assert.match(first?.failure ?? '', /broker-a, id 0, lives at 10\.0\.0\.2:8880/);
    assert.deepEqual([second?.registered, second?.isTaken], [true, false]);
    const loud = rig.lines.filter(({ event }) => event === 'name-and-id-taken');
    assert.deepEqual([loud.length, loud[0]?.level], [1, 'error']);
    rig.run(60_000);
    assert.equal(rig.lines.filter(({ event }) => event === 'name-and-id-taken').length, 2);
    server.core.connectionClosed(7);
    rig.run(30_000);
    const after = rig.core.status()[0];
    assert.deepEqual([after?.registered, after?.isTaken, after?.failure], [true, false, null]);
  });

  it('comes with another id when it may choose', () => {
    const rig = new Rig(2);
    const [server] = rig.servers as [NameServerRig];
    const fields = { epoch: '1', webSocketAddrs: '10.0.0.2:8880' };
    server.register({ brokerAddr: '10.0.0.2:8880', brokerId: 1, fields, clusterName: 'c' }, 7);
    rig.facts = { ...rig.facts, brokerId: 1, role: 'SLAVE' };
    rig.onTaken = (brokerId) => {
      if (brokerId === 1) rig.facts = { ...rig.facts, brokerId: 2 };
      return true;
    };
    rig.run(1000);
    assert.ok(rig.core.status().every(({ registered, isTaken }) => registered && !isTaken));
    for (const one of rig.servers)
      assert.equal(one?.core.routes.brokers.broker('10.0.0.1:8880')?.brokerId, 2);
  });

  it('does not know of a change while its first registration is under way, which does not tell of it', () => {
    const rig = new Rig(1);
    rig.core.doWork();
    rig.setTopics(2, 'T1', 'T2');
    assert.ok(!rig.core.knows(rig.core.lastChange));
    rig.run(1000);
    assert.ok(rig.core.knows(rig.core.lastChange));
  });

  it('knows of a change when every NameServer that has it registered has answered for it', () => {
    const rig = new Rig(3);
    rig.servers[2] = undefined;
    rig.run(100);
    rig.setTopics(2, 'T1', 'T2');
    const first = rig.core.lastChange;
    assert.ok(!rig.core.knows(first), 'nobody was told yet');
    rig.silent.add(1);
    rig.run(100);
    assert.ok(!rig.core.knows(first), 'one of the two is silent; the third was never there');
    rig.setTopics(3, 'T1', 'T2', 'T3');
    rig.silent.delete(1);
    rig.run(60_000);
    assert.ok(rig.core.knows(first) && rig.core.knows(rig.core.lastChange));
    for (const server of rig.servers.slice(0, 2))
      assert.ok([...(server?.core.routes.topicNames() ?? [])].includes('T3'));
  });

  it('of a slave is answered with the HA address of its master', () => {
    const rig = new Rig(1);
    const [server] = rig.servers as [NameServerRig];
    server.register({ brokerAddr: '10.0.0.2:8880', fields: { epoch: '2' }, clusterName: 'c' });
    rig.facts = { ...rig.facts, brokerId: 1, role: 'SLAVE' };
    rig.run(10);
    assert.deepEqual(rig.news.at(-1), { epoch: 2, masterHaAddr: '10.0.0.2:10912' });
  });

  it('ends when the broker leaves', () => {
    const rig = new Rig(2);
    rig.run(10);
    assert.equal(rig.core.leave(), 2);
    rig.run(10);
    assert.ok(rig.core.isGone);
    for (const server of rig.servers) assert.equal(server?.core.routes.brokers.brokerCount, 0);
  });
});
