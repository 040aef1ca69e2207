/**
 * The scripts whose every change of the disk is harmed in test/simulation: each does one thing that a shard does, as shortly
 * as it can be done, so that the number of boundaries stays small and a failure says what was going on.
 */
import type { Drive } from './boundary-drive.ts';
import type { Script } from './boundary-run.ts';
import type { SimTopic } from './sim-world.ts';

/** Bodies of which five fill a segment. */
const LARGE = 3000;
/** A snapshot is due, upkeep runs. */
const SNAPSHOT_MS = 6000;
const SHORT = { retentionMs: 2000, retentionBytes: null, whenFull: 'refuse' } as const;

function script(name: string, run: (drive: Drive) => void, config: Script['config'] = {}): Script {
  const opened = (drive: Drive): void => {
    drive.open();
    run(drive);
  };
  return { name, run: opened, config };
}

/** More than the tail window holds: the first segments are sealed and indexed. */
function fillSegments(drive: Drive, topic: SimTopic, batches = 18): void {
  drive.sendAll(topic, batches, LARGE);
  drive.pass(1100);
}

const SENDING: readonly Script[] = [
  script('one message at a time', (drive) => drive.sendAll(drive.topic('a', 'dedup'), 4)),
  script('group commit', (drive) => {
    const topic = drive.topic('a', 'plain');
    drive.send(topic, 6);
    drive.settle();
    drive.send(topic, 6);
    drive.settle();
  }),
  script('several queues', (drive) => {
    const topic = drive.topic('a', 'dedup', 3);
    for (let q = 0; q < 3; q += 1) drive.send(topic, 1, 168, q);
    drive.settle();
    for (let q = 2; q >= 0; q -= 1) drive.send(topic, 2, 168, q);
    drive.settle();
  }),
  script('acks are lost and everything is sent again', (drive) => {
    const topic = drive.topic('a', 'dedup');
    drive.sendAll(topic, 2);
    drive.send(topic, 3);
    drive.step('agent');
    drive.loseAnswers();
    drive.settle();
    drive.resend();
  }),
  script('a restart between sending and sending again', (drive) => {
    const topic = drive.topic('a', 'dedup');
    drive.sendAll(topic, 2);
    drive.send(topic, 3);
    drive.step('agent');
    drive.restart('kill');
    drive.resend();
    drive.sendAll(topic, 1);
  }),
  script('a segment is full and the next begins', (drive) =>
    drive.sendAll(drive.topic('a', 'dedup'), 8, LARGE),
  ),
  script('the last batch of a segment and the first of the next in one barrier', (drive) => {
    const topic = drive.topic('a', 'plain');
    drive.sendAll(topic, 3, LARGE);
    drive.send(topic, 4, LARGE);
    drive.settle();
  }),
  script('ASYNC_FLUSH', (drive) => sendAsync(drive, 168), { flushMode: 'ASYNC_FLUSH' }),
  script('ASYNC_FLUSH over the end of a segment', (drive) => sendAsync(drive, LARGE), {
    flushMode: 'ASYNC_FLUSH',
  }),
];

function sendAsync(drive: Drive, bodyBytes: number): void {
  const topic = drive.topic('a', 'dedup');
  drive.sendAll(topic, 4, bodyBytes);
  drive.pass(200);
  drive.sendAll(topic, 3, bodyBytes);
  drive.restart('power-loss');
  drive.resend();
  drive.sendAll(topic, 2, bodyBytes);
}

const CONSUMING: readonly Script[] = [
  script('a group acks', (drive) => {
    const topic = drive.topic('a', 'dedup');
    const member = drive.group('g', topic);
    drive.sendAll(topic, 3);
    drive.ack(member, 1);
    drive.sendAll(topic, 2);
    drive.ack(member);
  }),
  script('two groups ack in turn, over a restart', (drive) => {
    const topic = drive.topic('a', 'dedup', 2);
    const [first, second] = [drive.group('g1', topic), drive.group('g2', topic)];
    for (let q = 0; q < 2; q += 1) drive.sendAll(topic, 2, 168, q);
    drive.ack(first, 1);
    drive.ack(second, 1);
    drive.restart('kill');
    drive.attach(first);
    drive.attach(second);
    drive.ack(second);
    drive.ack(first);
  }),
  script('nack and retry', (drive) => {
    const topic = drive.topic('a', 'dedup');
    const member = drive.group('g', topic);
    drive.sendAll(topic, 3);
    drive.nack(member, 2);
    drive.pass(60);
    drive.nack(member, 1);
    drive.pass(60);
    drive.ack(member);
  }),
  script('leases are given back and a member leaves', (drive) => {
    const topic = drive.topic('a', 'dedup');
    const member = drive.group('g', topic);
    drive.sendAll(topic, 3);
    drive.release(member, 1);
    drive.detach(member);
    drive.attach(member);
    drive.pass(1500);
    drive.ack(member);
  }),
  script('a dead letter', (drive) => letDie(drive)),
  script('dead letters are driven back', (drive) => {
    const member = letDie(drive);
    drive.redrive(member);
    drive.ack(member);
  }),
  script('back to the earliest', (drive) => {
    const topic = drive.topic('a', 'dedup');
    const member = drive.group('g', topic);
    drive.sendAll(topic, 3);
    drive.ack(member);
    drive.seek(member, { kind: 'earliest' });
    drive.ack(member);
  }),
  script('forward to the latest', (drive) => {
    const topic = drive.topic('a', 'dedup');
    const member = drive.group('g', topic);
    drive.sendAll(topic, 3);
    drive.seek(member, { kind: 'latest' });
    drive.sendAll(topic, 2);
    drive.ack(member);
  }),
  script('members that pull say where they are', (drive) => {
    const topic = drive.topic('a', 'dedup', 2);
    for (let q = 0; q < 2; q += 1) drive.sendAll(topic, 3, 168, q);
    drive.commit(topic, 0, 3);
    drive.commit(topic, 1, 2);
    drive.standings.commit(topic, 0, 1);
    drive.commit(topic, 0, 2);
    drive.restart('power-loss');
    drive.commit(topic, 1, 0);
    drive.drain();
    drive.restart('kill');
    drive.commit(topic, 0, 3);
  }),
  script('clients lock queues', (drive) => {
    const topic = drive.topic('a', 'dedup', 2);
    drive.lock(topic, 0, 'one');
    drive.lock(topic, 1, 'two');
    drive.unlock(topic, 0, 'one');
    drive.lock(topic, 0, 'two');
    drive.restart('power-loss');
    drive.lock(topic, 0, 'two');
    drive.drain();
    drive.restart('kill');
    drive.unlock(topic, 1, 'two');
    drive.lock(topic, 1, 'one');
  }),
  script('cold messages are consumed', (drive) => {
    const topic = drive.topic('a', 'dedup');
    fillSegments(drive, topic);
    const member = drive.group('g', topic);
    drive.ack(member);
  }),
];

function letDie(drive: Drive): ReturnType<Drive['group']> {
  const topic = drive.topic('a', 'plain');
  const member = drive.group('g', topic, 2);
  drive.sendAll(topic, 3);
  drive.nack(member, 2);
  drive.pass(60);
  drive.nack(member, 2);
  drive.pass(200);
  drive.ack(member);
  return member;
}

const KEEPING: readonly Script[] = [
  script('topics come and go', (drive) => {
    const first = drive.topic('a', 'dedup');
    const second = drive.topic('b', 'plain', 2);
    drive.sendAll(first, 2);
    drive.sendAll(second, 2);
    drive.remove(second);
    drive.topic('c', 'dedup');
    drive.sendAll(first, 1);
    drive.restart('kill');
    drive.sendAll(first, 1);
  }),
  script('a topic with sealed segments is deleted', (drive) => {
    const [kept, gone] = [drive.topic('a', 'dedup'), drive.topic('b', 'dedup')];
    drive.sendAll(kept, 1);
    fillSegments(drive, gone, 14);
    drive.pass(SNAPSHOT_MS);
    drive.remove(gone);
    for (let round = 0; round < 2; round += 1) {
      drive.sendAll(kept, 6, LARGE);
      drive.pass(SNAPSHOT_MS);
    }
  }),
  script('an index is built', (drive) => fillSegments(drive, drive.topic('a', 'dedup', 1))),
  script('a snapshot', (drive) => {
    const topic = drive.topic('a', 'dedup');
    const member = drive.group('g', topic);
    drive.sendAll(topic, 3);
    drive.ack(member, 2);
    drive.pass(SNAPSHOT_MS);
    drive.sendAll(topic, 1);
    drive.restart('power-loss');
    drive.sendAll(topic, 1);
  }),
  script('the third snapshot replaces the first', (drive) => {
    const topic = drive.topic('a', 'dedup');
    for (let round = 0; round < 3; round += 1) {
      drive.sendAll(topic, 6, LARGE);
      drive.pass(SNAPSHOT_MS);
    }
    drive.restart('kill');
    drive.sendAll(topic, 1);
  }),
  script('retention lets segments go, and they are used again', (drive) => {
    const topic = drive.topic('a', 'dedup', 1, SHORT);
    for (let round = 0; round < 3; round += 1) {
      drive.sendAll(topic, 10, LARGE);
      drive.pass(SNAPSHOT_MS);
    }
    drive.sendAll(topic, 8, LARGE);
    drive.pass(SNAPSHOT_MS);
    drive.restart('power-loss');
    drive.sendAll(topic, 2, LARGE);
  }),
  script('retention by size removes what is too much', (drive) => {
    const plan = { retentionMs: null, retentionBytes: 20_000, whenFull: 'refuse' } as const;
    const topic = drive.topic('a', 'plain', 1, plan);
    fillSegments(drive, topic, 30);
    drive.pass(SNAPSHOT_MS);
    drive.sendAll(topic, 6, LARGE);
    drive.pass(SNAPSHOT_MS);
    drive.sendAll(topic, 2, LARGE);
  }),
  script('a drain', (drive) => {
    const topic = drive.topic('a', 'dedup');
    drive.sendAll(topic, 3);
    drive.drain();
    drive.restart('kill');
    drive.sendAll(topic, 1);
  }),
];

const DELAYING: readonly Script[] = [
  script('delayed messages become visible', (drive) => {
    drive.delayedTopic();
    drive.delay(100, 3, 2);
    drive.delay(60_000);
    drive.pass(200);
    drive.restart('kill');
    drive.delay(50, 2);
    drive.pass(100);
  }),
  script('delayed messages are cancelled, one of several too', (drive) => {
    drive.delayedTopic();
    drive.delay(5000, 3, 3);
    for (let count = 0; count < 4; count += 1) drive.cancel();
    drive.restart('power-loss');
    drive.cancel();
    drive.pass(6000);
  }),
  script('a delayed message outlives the segment that it was stored in', (drive) => {
    const topic = drive.topic('a', 'dedup', 1, SHORT);
    drive.delayedTopic();
    drive.delay(3_600_000, 3);
    drive.cancel();
    for (let round = 0; round < 4; round += 1) {
      drive.sendAll(topic, 10, LARGE);
      drive.pass(SNAPSHOT_MS);
    }
    drive.pass(3_600_000);
    drive.sendAll(topic, 2, LARGE);
  }),
  script('half messages are ended, asked about, and ended again', (drive) => {
    drive.halfTopic();
    drive.half(4);
    drive.end();
    drive.pass(100);
    drive.end();
    drive.restart('power-loss');
    for (let count = 0; count < 3; count += 1) drive.end();
  }),
  script('old delayed messages are read from their files', (drive) => {
    const topic = drive.topic('a', 'dedup');
    drive.delayedTopic();
    drive.delay(60_000, 4, 2);
    fillSegments(drive, topic);
    drive.pass(60_000);
    drive.restart('power-loss');
    drive.pass(100);
  }),
];

const IN_TROUBLE: readonly Script[] = [
  script('the disk is full and has room again', (drive) => {
    const topic = drive.topic('a', 'dedup');
    const member = drive.group('g', topic);
    drive.leave(0);
    for (let round = 0; round < 12; round += 1) drive.send(topic, 1, LARGE);
    drive.settle();
    drive.resend();
    drive.sendAll(topic, 12, LARGE);
    drive.ack(member);
    drive.makeRoom();
    drive.pass(1000);
    drive.resend();
    drive.sendAll(topic, 4, LARGE);
    drive.ack(member);
  }),
  script('on a full disk the oldest messages go', (drive) => {
    const plan = { retentionMs: null, retentionBytes: null, whenFull: 'drop-oldest' } as const;
    const topic = drive.topic('a', 'plain', 1, plan);
    fillSegments(drive, topic, 20);
    drive.leave(0);
    drive.sendAll(topic, 12, LARGE);
    drive.pass(1000);
    drive.sendAll(topic, 4, LARGE);
    drive.pass(1000);
    drive.makeRoom();
    drive.pass(1000);
    drive.sendAll(topic, 2, LARGE);
  }),
  script('a sync fails and the shard is opened again', (drive) => {
    const topic = drive.topic('a', 'dedup');
    drive.sendAll(topic, 2);
    drive.send(topic, 1);
    drive.failNext('sync');
    drive.settle();
    drive.restart('kill');
    drive.resend();
    drive.sendAll(topic, 2);
  }),
  script('two recoveries, one after a power cut', (drive) => {
    const topic = drive.topic('a', 'dedup');
    const member = drive.group('g', topic);
    drive.sendAll(topic, 2);
    drive.send(topic, 2);
    drive.step('agent');
    drive.restart('power-loss');
    drive.resend();
    drive.attach(member);
    drive.ack(member, 1);
    drive.restart('kill');
    drive.attach(member);
    drive.sendAll(topic, 1);
    drive.ack(member);
  }),
  script('whole batches behind a lost one are cut and do not come back', (drive) => {
    const topic = drive.topic('a', 'plain', 2);
    drive.sendAll(topic, 2);
    drive.reopen('kill');
    drive.send(topic, 4);
    drive.step('agent');
    drive.loseFirstSector();
    drive.open();
    // As large as what was lost, so that the rest would follow without a gap.
    drive.sendAll(topic, 2, 168, 1);
    drive.restart('power-loss');
    drive.sendAll(topic, 1);
  }),
];

export const SCRIPTS: readonly Script[] = [
  ...SENDING,
  ...CONSUMING,
  ...KEEPING,
  ...DELAYING,
  ...IN_TROUBLE,
];
