/**
 * The end of a simulated cluster's run: faults stop, everybody is told who reigns, and then all must come together: producers
 * get their answers, slaves have what the master has, byte for byte, and everything that clients were told is there.
 */
import * as layout from '../protocol/batch/batch-layout.ts';
import type { ClusterChaos } from './cluster-chaos.ts';
import type { ClusterClients } from './cluster-clients.ts';
import type { ClusterConsumers } from './cluster-consumers.ts';
import { type ClusterWorld, GROUP_ID, QUEUES, TOPIC_ID } from './cluster-world.ts';
import type { ShardRig } from './shard-rig.ts';
import { SimViolation } from './sim-invariants.ts';
import { idOf } from './sim-messages.ts';
import type { SimNode } from './sim-node.ts';
import type { SiteTopic } from './sim-site.ts';
import type { SimTimed } from './sim-timed.ts';

/** Steps after which everything must have come together. */
const STEPS_MAX = 20_000;

export class ClusterAudit {
  private readonly world: ClusterWorld;
  private readonly clients: ClusterClients;
  private readonly consumers: ClusterConsumers;
  private readonly timed: SimTimed;
  private readonly chaos: ClusterChaos;
  private readonly step: () => void;
  private isTimedDone = false;

  constructor(parts: {
    readonly world: ClusterWorld;
    readonly clients: ClusterClients;
    readonly consumers: ClusterConsumers;
    readonly timed: SimTimed;
    readonly chaos: ClusterChaos;
    readonly step: () => void;
  }) {
    this.world = parts.world;
    this.clients = parts.clients;
    this.consumers = parts.consumers;
    this.timed = parts.timed;
    this.chaos = parts.chaos;
    this.step = parts.step;
  }

  /** @throws SimViolation */
  run(): void {
    const { world, chaos } = this;
    chaos.calm();
    for (const node of world.nodes) {
      const { epoch } = node.reign;
      const isFenced = node.rig?.agent.context.fenced !== undefined;
      if (isFenced || epoch !== world.reign.epoch || !node.isAlive) chaos.end(node, 'kill');
    }
    this.untilQuiet();
    this.timed.judge((topic) => this.bodiesOf(topic));
    for (const node of world.nodes) this.compareState(world.master, node);
    const master = world.master.rig as ShardRig;
    const queues = Array.from({ length: QUEUES }, (_, q) => this.readQueue(world.master, q));
    for (const node of world.nodes) {
      if (node === world.master) continue;
      this.compareLogs(world.master, node);
      for (let q = 0; q < QUEUES; q += 1) this.compareQueue(queues[q] as QueueContent, node, q);
    }
    for (const [q, content] of queues.entries()) this.checkOrder(content, q);
    for (const told of world.told.values()) {
      if (told.what.startsWith('group')) this.checkGroup(master, told.q, told.offset);
      else this.checkMessage(queues[told.q] as QueueContent, told);
    }
    this.consumers.finish(
      queues.map(({ ids }) => ids),
      this.step,
    );
  }

  private untilQuiet(): void {
    let quiet = 0;
    for (let step = 0; step < STEPS_MAX && quiet < 30; step += 1) {
      for (const node of this.world.nodes) {
        // A disk that failed before the calm may be found out only now.
        if (node.rig?.agent.context.fenced !== undefined) this.chaos.end(node, 'kill');
      }
      this.step();
      if (step % 10 === 0) this.clients.resendAll();
      if (step % 100 === 99) this.timed.hurry();
      if (step % 20 === 0) this.isTimedDone = !this.timed.finish();
      quiet = this.isQuiet() ? quiet + 1 : 0;
    }
    if (quiet >= 30) return;
    throw new SimViolation(
      `after faults have stopped it does not come together: ${this.describe()}`,
    );
  }

  private isQuiet(): boolean {
    const { world, clients } = this;
    const { master } = world.master;
    if (
      clients.isWaiting ||
      !this.isTimedDone ||
      master === undefined ||
      world.master.rig === undefined
    )
      return false;
    const end = world.master.rig.memory.appended.observe();
    if (world.master.safe() < end || world.master.rig.memory.commit.observe() < end) return false;
    const behind = world.nodes.filter(
      (node) =>
        node !== world.master &&
        (node.rig?.memory.appended.observe() !== end || node.rig.memory.commit.observe() < end),
    );
    return behind.length === 0;
  }

  private describe(): string {
    return (
      this.world.nodes
        .map((node) => {
          const { rig } = node;
          const at =
            rig === undefined
              ? 'down'
              : `${rig.memory.commit.observe()}/${rig.memory.appended.observe()}`;
          const links = node.master?.links.map(
            (link) => `${link.name}:${link.phase}:${link.acked}`,
          );
          const following = rig?.agent.context.isFollowing === true ? 'follows' : 'leads';
          return `${node.name} ${at} ${following} gate ${rig?.memory.gate()} ${links ?? node.slave?.phase} ${node.refusals.at(-1) ?? ''}`;
        })
        .join('; ') +
      (this.clients.isWaiting ? `; producers wait: ${this.clients.describeWaiting()}` : '') +
      `; ${this.timed.describeWaiting()}`
    );
  }

  /** All bodies of a topic, at the master. */
  private bodiesOf({ topicId, queues }: SiteTopic): readonly string[] {
    return Array.from({ length: queues }, (_, q) => [
      ...this.readBodies(this.world.master, q, topicId).bodies.values(),
    ]).flat();
  }

  /** What waits for its time, locks, and where groups stand come from the log: they are the same everywhere. */
  private compareState(master: SimNode, node: SimNode): void {
    const [mine, theirs] = [master, node].map(({ rig }) => {
      const state = (rig as ShardRig).agent.context.state;
      const { table } = state.deferred;
      const rows = [...table.rows()].map((row) => table.get(row).origin).sort((a, b) => a - b);
      const locks = state.locks.records().map((lock) => JSON.stringify(lock));
      return JSON.stringify({ rows, locks: locks.sort() });
    });
    if (mine === theirs) return;
    throw new SimViolation(`${master.name} has the state ${mine}, ${node.name} ${theirs}`);
  }

  private readQueue(node: SimNode, q: number): QueueContent {
    const { min, bodies } = this.readBodies(node, q, TOPIC_ID);
    return { min, ids: new Map([...bodies].map(([offset, body]) => [offset, idOf(body)])) };
  }

  /** Everything that is in a queue, read as a client reads. */
  private readBodies(node: SimNode, q: number, topicId: number): QueueBodies {
    const content: QueueBodies = { min: 0, bodies: new Map() };
    // A power cut may have taken the topic itself; what was in it is excused then message by message, or missing.
    const isThere = node.rig?.agent.context.state.topics.has(topicId) === true;
    if (this.world.mode.flush === 'ASYNC_FLUSH' && !isThere) return content;
    let next = 0;
    let end = 1;
    for (let turn = 0; next < end; turn += 1) {
      if (turn > 10_000)
        throw new SimViolation(`queue ${q} at ${node.name} cannot be read to its end`);
      let isAnswered = false;
      const correlation = (node.rig as ShardRig).fetch(topicId, q, next, 1000);
      node.link.expect(correlation, (answer) => {
        isAnswered = true;
        if (answer?.kind === 'failed') {
          const { min, max } = limits(node, q, topicId);
          if (next >= min) throw new SimViolation(`queue ${q} at ${node.name}: ${answer.text}`);
          next = min;
          end = max;
          return;
        }
        if (answer?.kind !== 'fetched') return;
        content.min = answer.min;
        end = answer.max;
        for (const { offset, body } of answer.records) content.bodies.set(offset, body);
        next = Math.max(answer.next, answer.min);
      });
      for (let step = 0; step < 5000 && !isAnswered; step += 1) this.step();
      if (!isAnswered)
        throw new SimViolation(`a fetch of queue ${q} at ${node.name} is not answered`);
    }
    content.min = limits(node, q, topicId).min;
    return content;
  }

  private checkMessage(
    content: QueueContent,
    told: { what: string; offset: number; q: number },
  ): void {
    if (told.offset < content.min) return;
    const found = content.ids.get(told.offset);
    if (found !== told.what)
      throw new SimViolation(
        `${told.what} was at ${told.q}/${told.offset}; there is ${found ?? 'nothing'}`,
      );
  }

  private checkGroup(rig: ShardRig, q: number, offset: number): void {
    const found = rig.agent.context.state.groupQueue(GROUP_ID, TOPIC_ID, q)?.settledThrough ?? -1;
    if (found < offset)
      throw new SimViolation(`the group stood at ${q}/${offset} and stands at ${found}`);
  }

  /** One producer a queue: each of its messages once, in the order they were sent. */
  private checkOrder({ ids }: QueueContent, q: number): void {
    let last = -1;
    for (const [offset, id] of [...ids].sort(([left], [right]) => left - right)) {
      const number = Number(id.slice(1));
      if (number <= last) throw new SimViolation(`${id} at ${q}/${offset} comes after m${last}`);
      last = number;
    }
  }

  private compareQueue(content: QueueContent, node: SimNode, q: number): void {
    const other = this.readQueue(node, q);
    for (const [offset, id] of content.ids) {
      if (offset < Math.max(other.min, content.min)) continue;
      if (other.ids.get(offset) !== id)
        throw new SimViolation(
          `${q}/${offset} is ${id} at the master and ${other.ids.get(offset)} at ${node.name}`,
        );
    }
  }

  /** The slave's log is the master's, as far as both still have it. */
  private compareLogs(left: SimNode, right: SimNode): void {
    const a = left.rig as ShardRig;
    const b = right.rig as ShardRig;
    // A record of the master's own may have come meanwhile.
    const end = Math.min(a.memory.appended.observe(), b.memory.appended.observe());
    let position = Math.max(a.source.start(), b.source.start());
    while (position < end) {
      const length = a.source.read(position, end);
      if (typeof length !== 'number')
        throw new SimViolation(`the log of ${left.name} at ${position} is ${length}`);
      const mine = a.source.bytes.slice(0, length);
      const at = position;
      for (let done = 0; done < length; ) {
        const part = b.source.read(at + done, at + length);
        if (typeof part !== 'number')
          throw new SimViolation(`the log of ${right.name} at ${at + done} is ${part}`);
        const theirs = b.source.bytes.slice(0, part);
        this.compareBytes(mine.slice(done, done + part), theirs, at + done, right);
        done += part;
      }
      position += length;
    }
  }

  private compareBytes(
    mine: Uint8Array,
    theirs: Uint8Array,
    position: number,
    node: SimNode,
  ): void {
    // What stands in padding has no checksum: a power cut or a failed sync may leave other bytes there.
    const { powerLosses, diskErrors } = this.world.counts;
    if (powerLosses > 0 || diskErrors > 0) {
      clearPadding(mine);
      clearPadding(theirs);
    }
    if (Buffer.compare(mine, theirs) === 0) return;
    const different = mine.findIndex((byte, index) => byte !== theirs[index]);
    throw new SimViolation(
      `the log of ${node.name} differs from the master's at ${position + different}`,
    );
  }
}

type QueueContent = { readonly min: number; readonly ids: Map<number, string> };
type QueueBodies = { min: number; readonly bodies: Map<number, string> };

function limits(node: SimNode, q: number, topicId: number): { min: number; max: number } {
  const queue = node.rig?.agent.context.state.queue(topicId, q);
  return { min: queue?.minOffset ?? 0, max: queue?.visibleEnd ?? 0 };
}

function clearPadding(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < layout.STORED_HEADER_BYTES) {
      bytes.fill(0, at);
      return;
    }
    const length = view.getUint32(at + layout.STORED_BYTES, true);
    if (view.getUint16(at + layout.STORED_KIND, true) === layout.KIND_PADDING)
      bytes.fill(0, at + layout.STORED_HEADER_BYTES, at + length);
    at += length;
  }
}
