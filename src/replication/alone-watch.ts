/**
 * Decides for one shard of a slave whether it is alone: nobody has streamed to it for a while. Then it serves its groups. One that
 * its master has refused is not alone: a person has to look first, its log may be another one. Replication thread.
 */
import { GATE_ALONE, GATE_UNDECIDED, type LogMemory } from '../log/log-memory.ts';

/** Milliseconds without a master until a slave serves: a connection that is lost is made again in less. */
export const ALONE_AFTER_MS = 1000;

export class AloneWatch {
  private readonly memory: LogMemory;
  private sinceMs: number;

  constructor(memory: LogMemory, nowMs: number) {
    this.memory = memory;
    this.sinceMs = nowMs;
  }

  /** @param isMet - a master is connected and has taken this log for its own, or has refused it @returns true when it is alone from now on */
  note(isMet: boolean, nowMs: number): boolean {
    if (isMet) {
      this.sinceMs = nowMs;
      if (this.memory.gate() !== GATE_UNDECIDED) this.memory.setGate(GATE_UNDECIDED);
      return false;
    }
    if (nowMs - this.sinceMs < ALONE_AFTER_MS || this.memory.gate() === GATE_ALONE) return false;
    this.memory.setGate(GATE_ALONE);
    return true;
  }
}
