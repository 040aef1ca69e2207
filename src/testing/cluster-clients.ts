/**
 * Clients of a simulated cluster: a producer for each queue, which sends what was not acknowledged again until it is, a group
 * whose position is set, and readers on every broker. They write down what they are told.
 */
import { ERROR_CODES } from '../base/error-codes.ts';
import { DURABILITY_REPLICATED, OFFSET_UNKNOWN } from '../protocol/envelope-layout.ts';
import { type ClusterWorld, GROUP_ID, QUEUES, TOPIC_ID } from './cluster-world.ts';
import { rigTopic } from './shard-rig.ts';
import { SimViolation } from './sim-invariants.ts';
import type { Answer } from './sim-link.ts';
import { type SimBatch, storedBytes } from './sim-messages.ts';
import type { SimNode } from './sim-node.ts';
import { TIMED_TOPICS } from './sim-timed.ts';

const OPEN_MAX = 4;
const TOPIC = 'topic';

type Stream = {
  readonly q: number;
  epoch: number;
  next: number;
  open: SimBatch[];
  inFlight: number;
  mustResend: boolean;
  /** Something of this epoch was acknowledged: before, the first that is taken says where the sequence begins. */
  isKnown: boolean;
  /** Of the last refusal. */
  lastCode: string;
};

export class ClusterClients {
  private readonly world: ClusterWorld;
  private readonly streams: Stream[];
  private isSetUp = false;
  private isAsked = false;
  private readonly positions = new Map<number, number>();

  constructor(world: ClusterWorld) {
    this.world = world;
    this.streams = Array.from({ length: QUEUES }, (_, q) => ({
      ...{
        q,
        epoch: 0,
        next: 0,
        open: [],
        inFlight: 0,
        mustResend: false,
        isKnown: false,
        lastCode: '',
      },
    }));
  }

  /** One thing that a client does. */
  act(): void {
    const { prng } = this.world;
    const choice = prng.next();
    if (choice < 0.6) this.send();
    else if (choice < 0.9) this.read(this.world.pick(this.world.nodes) as SimNode);
    else this.commitPosition();
  }

  send(): void {
    const { world } = this;
    // Now and then a client has an old route, and asks a broker that does not reign.
    const isStale = world.prng.chance(0.1);
    const node = isStale ? (world.pick(world.nodes) as SimNode) : world.master;
    if (node.rig === undefined || !node.isAlive) return;
    if (!this.isSetUp) {
      this.setUp(node);
      return;
    }
    const stream = world.pick(this.streams) as Stream;
    if (stream.mustResend) this.resend(node, stream);
    else if (stream.open.length < (stream.isKnown ? OPEN_MAX : 1) && node === world.master)
      this.sendNew(node, stream);
  }

  /** Sends again whatever waits. */
  resendAll(): void {
    const node = this.world.master;
    if (node.rig === undefined || !node.isAlive) return;
    if (!this.isSetUp) this.setUp(node);
    for (const stream of this.streams) if (stream.mustResend) this.resend(node, stream);
  }

  get isWaiting(): boolean {
    return !this.isSetUp || this.streams.some(({ open }) => open.length > 0);
  }

  get topicExists(): boolean {
    return this.isSetUp;
  }

  /** What producers wait for, for messages to people. */
  describeWaiting(): string {
    if (!this.isSetUp) return 'the topic is not made';
    return this.streams
      .filter(({ open }) => open.length > 0)
      .map((one) => `${one.q}: ${one.open.length} open, ${one.inFlight} under way, ${one.lastCode}`)
      .join(', ');
  }

  read(node: SimNode): void {
    const { world } = this;
    if (node.rig === undefined || !node.isAlive || !this.isSetUp) return;
    const q = world.prng.integer(QUEUES);
    const queue = node.rig.agent.context.state.queue(TOPIC_ID, q);
    const from = world.prng.integer((queue?.visibleEnd ?? 0) + 1);
    const correlation = node.rig.fetch(TOPIC_ID, q, Math.max(from, queue?.minOffset ?? 0), 20);
    node.link.expect(correlation, (answer) => this.note(node, q, answer));
  }

  /** What a fetch has shown. */
  private note(node: SimNode, q: number, answer: Answer): void {
    if (answer?.kind !== 'fetched') return;
    const ends = new Map<number, number>();
    for (const extent of answer.extents)
      for (let index = 0; index < extent.count; index += 1)
        ends.set(extent.firstOffset + index, extent.end);
    for (const { offset, body } of answer.records) {
      const what = body.split(' ')[0] as string;
      const message = this.world.ledger.messages.get(what);
      if (message?.body !== body)
        throw new SimViolation(`${q}/${offset} at ${node.name} is ${what}, changed`);
      const end = ends.get(offset) ?? 0;
      // What an old master shows behind the point where it was left is its own, as long as it has not followed another.
      const isOwn = node.isMaster || node.followedEpoch !== this.world.reign.epoch;
      if (isOwn && node !== this.world.master) continue;
      const told = { what, q, offset, end, epoch: node.reign.epoch, isAcked: false };
      this.world.tell(`${q} ${offset}`, told, node);
      this.world.counts.read += 1;
    }
  }

  private setUp(node: SimNode): void {
    if (this.isAsked || node !== this.world.master || node.rig === undefined) return;
    const { rig } = node;
    this.isAsked = true;
    rig.control({ op: 'putTopic', topic: rigTopic(TOPIC_ID, TOPIC, QUEUES) });
    for (const [index, name] of TIMED_TOPICS.entries())
      rig.control({ op: 'putTopic', topic: rigTopic(TOPIC_ID + 1 + index, name, 1) });
    const group = { groupId: GROUP_ID, group: 'group', maxAttempts: 3, retryBackoffMs: [100] };
    const correlation = rig.control({ op: 'putGroup', group });
    const isSent = node.link.expect(correlation, (answer) => {
      this.isAsked = false;
      if (answer?.kind === 'control') this.isSetUp = true;
    });
    if (!isSent) this.isAsked = false;
  }

  /** The topic itself was the last that was told, and a fault took it by right. */
  onTopicLost(): void {
    if (this.world.isSync && this.world.counts.excused === 0)
      throw new SimViolation('a topic that was confirmed is gone');
    this.isSetUp = false;
  }

  private commitPosition(): void {
    const { world } = this;
    const node = world.master;
    if (node.rig === undefined || !node.isAlive || !this.isSetUp) return;
    const q = world.prng.integer(QUEUES);
    const queue = node.rig.agent.context.state.queue(TOPIC_ID, q);
    const offset =
      Math.max(this.positions.get(q) ?? 0, queue?.minOffset ?? 0) + world.prng.integer(5);
    // A log that begins anew may lack the topic for a moment: there is nothing to set then.
    if (queue === undefined || offset > queue.visibleEnd) return;
    this.positions.set(q, offset);
    const to = { kind: 'offsets', offsets: { [q]: offset } } as const;
    const request = {
      op: 'seek',
      groupId: GROUP_ID,
      topicId: TOPIC_ID,
      to,
      dryRun: false,
    } as const;
    node.link.expect(node.rig.control(request), (answer) => {
      if (answer?.kind !== 'control' || node !== world.master) return;
      const end = node.rig?.memory.commit.observe() ?? 0;
      const epoch = node.reign.epoch;
      const key = `group ${q}`;
      if ((world.told.get(key)?.offset ?? -1) > offset) return;
      world.told.set(key, { what: key, q, offset, end, epoch, isAcked: true });
    });
  }

  private sendNew(node: SimNode, stream: Stream): void {
    const { ledger, prng, clock } = this.world;
    const isLarge = prng.chance(0.1);
    const count = isLarge ? 1 : 1 + prng.integer(4);
    const bytes = isLarge ? 3000 : 40 + prng.integer(200);
    const messages = Array.from({ length: count }, () =>
      ledger.create(TOPIC, `p${stream.q}`, 'red', bytes, clock.monotonicMs()),
    );
    const batch = ledger.encode(messages, `producer${stream.q}`, stream.next, stream.epoch);
    stream.next += count;
    stream.open.push(batch);
    this.transmit(node, stream, batch);
  }

  private resend(node: SimNode, stream: Stream): void {
    if (stream.inFlight > 0) return;
    stream.mustResend = false;
    for (const batch of stream.open) this.transmit(node, stream, batch);
  }

  private transmit(node: SimNode, stream: Stream, batch: SimBatch): void {
    if (node.rig === undefined) return;
    const correlation = node.rig.produceBytes(TOPIC_ID, stream.q, batch.bytes);
    stream.inFlight += 1;
    const isSent = node.link.expect(correlation, (answer) => {
      stream.inFlight -= 1;
      if (answer?.kind === 'produced') this.confirm(node, stream, batch, answer);
      else this.onTrouble(node, stream, batch, answer);
    });
    if (isSent) return;
    stream.inFlight -= 1;
    stream.mustResend = true;
  }

  private confirm(
    node: SimNode,
    stream: Stream,
    batch: SimBatch,
    answer: Extract<Answer, { kind: 'produced' }>,
  ): void {
    const { world } = this;
    stream.open = stream.open.filter((one) => one !== batch);
    if (batch.epoch === stream.epoch) stream.isKnown = true;
    if (world.isSync !== (answer.durability === DURABILITY_REPLICATED))
      throw new SimViolation(`a receipt says durability ${answer.durability}`);
    if (answer.baseOffset === OFFSET_UNKNOWN) return;
    const end = answer.position + storedBytes(batch);
    world.counts.acked += batch.messages.length;
    batch.messages.forEach(({ id }, index) => {
      const offset = answer.baseOffset + index;
      const told = { what: id, q: stream.q, offset, end, epoch: node.reign.epoch, isAcked: true };
      // Asynchronous masters that were left behind confirm what nobody will have.
      if (node === world.master || world.isSync) world.tell(`${stream.q} ${offset}`, told, node);
    });
  }

  private onTrouble(node: SimNode, stream: Stream, batch: SimBatch, answer: Answer): void {
    const { counts } = this.world;
    stream.mustResend = true;
    if (answer?.kind !== 'failed') return;
    stream.lastCode = answer.code;
    // What a broker says that does not reign any more, or not yet, is nothing to go by.
    const isMaster = node === this.world.master;
    if (answer.code === 'SLAVE_NOT_AVAILABLE') counts.noSlave += 1;
    if (answer.code === 'FLUSH_SLAVE_TIMEOUT') counts.slaveTimeouts += 1;
    if (answer.code === 'NOT_MASTER') counts.notMaster += 1;
    if (answer.code === 'SLAVE_NOT_AVAILABLE' && ERROR_CODES[answer.code].stored !== 'no')
      throw new SimViolation('a refused send must not be stored');
    if (answer.code === 'TOPIC_NOT_FOUND' && isMaster) this.onTopicLost();
    const isOver = answer.code === 'SEQUENCE_GAP' || answer.code === 'STALE_PRODUCER_EPOCH';
    if (!isOver || !isMaster || stream.open[0] !== batch) return;
    // The brokers have lost, by right, what this producer was told: it begins anew.
    counts.gapsByRight += 1;
    if (counts.excused === 0 && this.world.isSync)
      throw new SimViolation(`the next batch of a producer was refused: ${answer.text}`);
    stream.epoch += 1;
    stream.isKnown = false;
    stream.next = 0;
    stream.open = [];
    stream.mustResend = false;
  }
}
