/** What `push` does with a message that no batch takes now, and when it is worth another try. Browser-safe. */
import { SluiceError } from '../base/errors.ts';
import type { ProducerCore } from './producer-core.ts';
import type { TopicRoute } from './topic-route.ts';
import type { OutgoingMessage, WaitOptions } from './types.ts';
import { WaitingPush, waitLimits } from './waiting-send.ts';

/** Bytes counted for a message that waits, beside those of its record: the objects that hold it. */
const WAITING_BYTES = 256;

export class PushGate {
  private readonly core: ProducerCore;
  /** The message that was refused last: what `ready` waits for. */
  private refused: { readonly route: TopicRoute; readonly size: number } | undefined;

  constructor(core: ProducerCore) {
    this.core = core;
  }

  /**
   * Holds a message until its topic is known, within the bound.
   *
   * @returns false when there is no room for it
   * @throws what is wrong with the message
   */
  takeLater(route: TopicRoute, message: OutgoingMessage): boolean {
    const { core } = this;
    const size = core.sizeOf(message);
    if (core.isReady(route) || !this.hasRoom(route, size)) {
      this.refused = { route, size };
      return false;
    }
    const failed = (error: SluiceError): void => core.pushFailures.add(route.topic, 1, error);
    const nowMs = core.runtime.clock.monotonicMs();
    core.wait(route, new WaitingPush(message, WAITING_BYTES + size, nowMs, core.place, failed));
    return true;
  }

  /** See `Producer.ready`. */
  ready(options: WaitOptions | undefined): Promise<void> {
    const { core, refused } = this;
    return new Promise((resolve, reject) => {
      let unwatch = (): void => {};
      let isOver = false;
      const cancel = waitLimits(
        options,
        core.runtime.startTimer,
        (timeoutMs) => new SluiceError('TIMEOUT', `no room within ${timeoutMs} ms`),
        (reason) => {
          isOver = true;
          unwatch();
          reject(reason);
        },
      );
      if (isOver) return;
      unwatch = core.watch(() => {
        if (core.closedBy !== undefined) reject(core.closedError());
        else if (refused === undefined || this.hasRoom(refused.route, refused.size)) resolve();
        else {
          // Batches that wait for company hold memory that is needed now.
          core.sealAll();
          return false;
        }
        cancel();
        return true;
      });
    });
  }

  /** Would a pushed message of this route and size be taken? */
  private hasRoom(route: TopicRoute, size: number): boolean {
    const { core } = this;
    if (!core.isReady(route)) return core.memory.canWait(WAITING_BYTES + size);
    // Others of the topic wait for memory: their turn comes first.
    return route.waiting.length === 0 && core.hasRoomFor(size);
  }
}
