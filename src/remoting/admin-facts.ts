/** What tools ask of the broker itself, and only the broker knows. Set by who puts it together. */
import type { SluiceError } from '../base/errors.ts';
import type { DataVersion } from '../protocol/remoting/topic-config-codec.ts';

export interface AdminFacts {
  /** Of the program, as it names itself. */
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  /** Settings as they hold, secrets left out. */
  settings(): readonly (readonly [name: string, value: string])[];
  /** Why the settings of these names are not changed while the broker runs. @param names - as RocketMQ or we call them */
  changeRefusal(names: readonly string[]): SluiceError;
  /** How full the disk of the log is, 0 to 1; undefined where nothing is on a disk. */
  diskRatio(): number | undefined;
  /** Resolves when NameServers know the topics as they are now; soon in any case. */
  announced(): Promise<void>;
  /** Which state its topics and groups are in. */
  dataVersion(): DataVersion;
}
