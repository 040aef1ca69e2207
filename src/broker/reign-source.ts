/**
 * Where a broker hears who reigns, beside what slaves and its peer tell it: an answer of a NameServer, later an engine that
 * decides. One interface, so that the rest of the broker does not care who decided.
 */
import type { HostAndPort } from '../replication/replication-messages.ts';

export type ReignNews = {
  /** Newest epoch that is known for the name of this broker. */
  readonly epoch: number;
  /** HA address of who reigns under it; undefined: not known. */
  readonly master: HostAndPort | undefined;
};

export interface ReignSource {
  /** @param onNews - may be told the same again */
  start(onNews: (news: ReignNews) => void): void;
  stop(): void;
}
