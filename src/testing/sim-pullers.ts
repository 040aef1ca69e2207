/**
 * Consumers of a simulated run that pull by offset and keep their place themselves: they must see every message once and
 * in order as long as they go on from where they were.
 */
import { SimViolation } from './sim-invariants.ts';
import type { Answer } from './sim-link.ts';
import { idOf } from './sim-messages.ts';
import type { SimTopic, World } from './sim-world.ts';

type Puller = { readonly name: string; readonly topic: SimTopic; readonly q: number; next: number };

export class SimPullers {
  private readonly world: World;
  private readonly pullers: Puller[] = [];

  constructor(world: World) {
    this.world = world;
  }

  /** Some puller asks for what comes next. */
  pull(): void {
    const { world } = this;
    const topic = world.pick(world.liveTopics().filter((one) => one.writers !== 'timers'));
    if (topic === undefined) return;
    const puller = this.pullerOf(topic, world.prng.integer(topic.record.queues));
    const max = 1 + world.prng.integer(30);
    const waitMs = world.prng.chance(0.3) ? world.prng.integer(50) : 0;
    const asked = puller.next;
    const correlation = world.rig.fetch(topic.topicId, puller.q, asked, max, waitMs);
    world.link.expect(correlation, (answer) => this.onAnswer(puller, asked, answer));
  }

  private onAnswer(puller: Puller, asked: number, answer: Answer): void {
    // Another answer moved the puller on meanwhile: this one is about a place that is over.
    if (answer === undefined || puller.next !== asked) return;
    if (answer.kind === 'failed' && answer.code === 'OFFSET_OUT_OF_RANGE') this.lookAgain(puller);
    if (answer.kind !== 'fetched') return;
    if (answer.next < asked)
      throw new SimViolation(`a fetch from ${asked} goes on at ${answer.next}`);
    for (const { unreadable } of answer.extents)
      if (unreadable !== undefined) this.world.counts.unreadable += 1;
    record(this.world, puller.name, 'pull', puller.topic, puller.q, answer);
    puller.next = answer.next;
  }

  /** The place is gone, by retention or by a loss that is allowed: begin at the front of what there is. */
  private lookAgain(puller: Puller): void {
    const { topic, q } = puller;
    const queue = this.world.rig.agent.context.state.queue(topic.topicId, q);
    if (queue === undefined) return;
    this.world.recorder.session(puller.name, 'pull', [`${topic.name}/${q}`]);
    puller.next = puller.next < queue.minOffset ? queue.minOffset : queue.visibleEnd;
  }

  private pullerOf(topic: SimTopic, q: number): Puller {
    let puller = this.pullers.find((one) => one.topic === topic && one.q === q);
    if (puller === undefined) {
      puller = { name: `pull-${topic.topicId}-${q}`, topic, q, next: 0 };
      this.world.recorder.session(puller.name, 'pull', [`${topic.name}/${q}`]);
      this.pullers.push(puller);
    }
    return puller;
  }
}

/** Writes down what a fetch brought. */
export function record(
  world: World,
  consumer: string,
  group: string,
  topic: SimTopic,
  q: number,
  answer: Extract<Answer, { kind: 'fetched' }>,
): void {
  for (const { offset, body } of answer.records) {
    const id = idOf(body);
    const crc = world.ledger.note(topic.name, q, offset, id, body);
    const slot = { topic: topic.name, q, off: offset };
    world.recorder.deliver({ id, c: consumer, g: group, ...slot, attempt: 1, crc, via: 'pull' });
  }
}
