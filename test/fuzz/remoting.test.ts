/**
 * Random and damaged frames into the decoders of the remoting protocol, in both header forms, into all of its bodies, and into a
 * NameServer: none may throw, what is accepted comes back from the encoder, and the NameServer's tables stay whole.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { deflateSync, inflateSync } from 'node:zlib';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import { CommandView } from '../../src/protocol/remoting/command.ts';
import { decodeCommand } from '../../src/protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../../src/protocol/remoting/command-encoder.ts';
import { frameBytes } from '../../src/protocol/remoting/frame-layout.ts';
import * as register from '../../src/protocol/remoting/register-broker-codec.ts';
import * as route from '../../src/protocol/remoting/route-codec.ts';
import * as simple from '../../src/protocol/remoting/simple-bodies-codec.ts';
import * as topics from '../../src/protocol/remoting/topic-config-codec.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';
import { NameServerRig } from '../../src/testing/nameserver-rig.ts';
import { registration } from '../../src/testing/remoting-client.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';
import { FrameCutter, PartialBudget } from '../../src/transport/frame-cutter.ts';

const golden = join(projectRoot(), 'test/golden/remoting');
const frames: readonly Uint8Array[] = readdirSync(golden, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.bin'))
  .sort()
  .map((file) => new Uint8Array(readFileSync(join(golden, file))));
const inflate: register.Inflate = (bytes) => {
  try {
    return inflateSync(bytes, { maxOutputLength: 1 << 20 });
  } catch {
    return undefined;
  }
};

/** Characters that mean something to the parsers, so that damage comes further than the first check. */
const MARKS = Buffer.from('{}[]":,\\u0019-.eE+ntf\0\x01\x7f\xff', 'latin1');

/** Flips, cuts, stretches; then mostly corrects the length, so that the inside is looked at. */
function damage(prng: Prng, whole: Uint8Array): Uint8Array {
  let damaged = whole.slice();
  for (let flips = prng.integer(5); flips > 0; flips -= 1) {
    const at = prng.integer(damaged.length);
    damaged[at] = prng.chance(0.6)
      ? (MARKS[prng.integer(MARKS.length)] as number)
      : prng.integer(256);
  }
  if (prng.chance(0.2)) damaged = damaged.slice(0, 1 + prng.integer(damaged.length));
  if (prng.chance(0.2)) {
    const at = prng.integer(damaged.length);
    const part = damaged.slice(at, at + prng.integer(60));
    damaged = Uint8Array.from([...damaged.subarray(0, at), ...part, ...damaged.subarray(at)]);
  }
  if (damaged.length > 8 && prng.chance(0.9))
    new DataView(damaged.buffer).setInt32(0, damaged.length - 4);
  return damaged;
}

function eachRun(rounds: number, run: (prng: Prng, frame: Uint8Array) => void): void {
  const { numRuns, seed } = fuzzPlan(rounds);
  const prng = seededPrng(seed);
  for (let index = 0; index < numRuns; index += 1) {
    const frame = damage(prng, frames[prng.integer(frames.length)] as Uint8Array);
    try {
      run(prng, frame);
    } catch (error) {
      const text = `SEED=${seed}, run ${index}: ${Buffer.from(frame).toString('hex')}`;
      throw new Error(text, { cause: error });
    }
  }
}

it('no frame makes the header decoders throw, and what they accept comes back', () => {
  const [view, again] = [new CommandView(), new CommandView()];
  let accepted = 0;
  eachRun(20_000, (_, frame) => {
    if (decodeCommand(frame, view) !== 'ok') return;
    accepted += 1;
    const command = view.toCommand();
    // An empty value is none in the binary form, and a field name may be too long for it.
    const written = encodeCommand(command, 0);
    assert.equal(decodeCommand(written, again), 'ok');
    assert.deepEqual(again.toCommand(), {
      ...command,
      // A number that no language has becomes the word OTHER in JSON.
      language: command.language < 14 ? command.language : 7,
    });
  });
  assert.ok(accepted > 100, 'the damage is not so great that nothing is looked at');
});

it('no stream makes the cutter throw, or hold more than came', () => {
  eachRun(3000, (prng, frame) => {
    const budget = new PartialBudget(1 << 24);
    const cutter = new FrameCutter({ headBytes: 4, frameBytes }, budget);
    let came = 0;
    for (let at = 0; at < frame.length; ) {
      const size = 1 + prng.integer(300);
      const chunk = frame.subarray(at, at + size);
      at += size;
      came += chunk.length;
      const verdict = cutter.push(chunk, ({ length }) => {
        came -= length;
        return true;
      });
      if (verdict !== 'ok') break;
      assert.ok(budget.bytes <= 2 * came + 4096, `${budget.bytes} held of ${came}`);
    }
    cutter.release();
    assert.equal(budget.bytes, 0);
  });
});

it('no body makes its decoder throw', () => {
  const { fields: _, body } = registration({ filterServers: ['10.0.0.9:1'] });
  const routeBody = Buffer.from(
    '{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"b","cluster":"c"}],"filterServerTable":{"a:1":["b:2"]},"orderTopicConf":"b:4","queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}',
  );
  const tables = Buffer.from(
    '{"table":{"k":"v"},"topicList":["a"],"counter":1,"clusterAddrTable":{"c":["b"]}}',
  );
  const { numRuns, seed } = fuzzPlan(10_000);
  const prng = seededPrng(seed);
  const packed = inflate(frames.map(bodyOf).find((one) => one[0] === 0x78) ?? new Uint8Array(0));
  assert.ok(packed !== undefined);
  const form = { compressed: false, version: 479 };
  for (let run = 0; run < numRuns; run += 1) {
    const json = damage(prng, prng.chance(0.3) ? new Uint8Array(body) : new Uint8Array(routeBody));
    const results = [
      register.decodeRegisterBrokerBody(json, form, inflate),
      register.decodeRegisterBrokerBody(
        damage(prng, packed),
        { ...form, compressed: true },
        (bytes) => bytes,
      ),
      route.decodeTopicRoute(json),
      route.decodeClusterInfo(damage(prng, new Uint8Array(tables))),
      simple.decodeTopicList(damage(prng, new Uint8Array(tables))),
      simple.decodeKvTable(damage(prng, new Uint8Array(tables))),
      topics.decodeDataVersion(damage(prng, new Uint8Array(tables))),
    ];
    simple.decodeProperties(json);
    for (const result of results)
      if ('refusal' in result)
        assert.notEqual(
          result.refusal.code,
          'INVARIANT',
          `SEED=${seed} run ${run}: ${result.refusal.message}`,
        );
  }
});

function bodyOf(frame: Uint8Array): Uint8Array {
  const view = new CommandView();
  assert.equal(decodeCommand(frame, view), 'ok');
  return view.body;
}

it('no command makes a NameServer throw, and its tables stay whole', () => {
  const rig = new NameServerRig();
  const view = new CommandView();
  const compressed = encodeCommand({
    code: 103,
    opaque: 1,
    flag: 0,
    fields: new Map([...Object.entries(registration().fields), ['compressed', 'true']]),
    body: deflateSync(
      inflate(frames.map(bodyOf).find((one) => one[0] === 0x78) as Uint8Array) as Uint8Array,
    ),
  });
  eachRun(5000, (prng, damaged) => {
    const frame = prng.chance(0.1) ? damage(prng, compressed) : damaged;
    rig.nowMs += prng.integer(10_000);
    if (prng.chance(0.05)) rig.core.connectionClosed(prng.integer(5));
    if (prng.chance(0.1)) rig.core.scan();
    if (decodeCommand(frame, view) !== 'ok') return;
    const answer = rig.core.handle({ command: view, connectionId: prng.integer(5) });
    encodeCommand({ code: answer.code ?? 0, opaque: 1, flag: 1, ...answer });
    checkTables(rig);
  });
  for (const connectionId of [0, 1, 2, 3, 4]) rig.core.connectionClosed(connectionId);
  assert.equal(rig.core.routes.brokers.brokerCount, 0);
  assert.equal(rig.core.routes.topicCount, 0);
});

/** Every address leads to a broker that its group has under its id, and every queue data to a group. */
function checkTables(rig: NameServerRig): void {
  const { brokers } = rig.core.routes;
  let memberCount = 0;
  for (const group of brokers.allGroups()) {
    assert.ok(group.members.size > 0);
    for (const [id, member] of group.members) {
      memberCount += 1;
      assert.equal(member.brokerId, id);
      assert.equal(brokers.broker(member.brokerAddr), member);
    }
  }
  assert.equal(memberCount, brokers.brokerCount);
  for (const topic of rig.core.routes.topicNames()) {
    for (const brokerName of rig.core.routes.queuesOf(topic)?.keys() ?? [])
      assert.ok(brokers.group(brokerName) !== undefined, `${topic} ${brokerName}`);
  }
}
