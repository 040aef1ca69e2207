/** What NameServers answer to registrations, as a source of news of reigns. Main thread. */
import { splitHostAndPort } from '../config/text-kinds.ts';
import type { RegistrationNews } from './registration-core.ts';
import type { ReignNews, ReignSource } from './reign-source.ts';

export class NameServerReigns implements ReignSource {
  private tell: (news: ReignNews) => void = () => {};

  start(onNews: (news: ReignNews) => void): void {
    this.tell = onNews;
  }

  stop(): void {
    this.tell = () => {};
  }

  /** A NameServer has answered. */
  hear({ epoch, masterHaAddr }: RegistrationNews): void {
    const master = masterHaAddr === undefined ? undefined : splitHostAndPort(masterHaAddr);
    this.tell({ epoch, master });
  }
}
