/** What RocketMQ's tools ask of this broker and only it knows: its settings, its disk, its start. Main thread. */
import { statfsSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { RENAMED_KEYS } from '../config/config-check.ts';
import {
  type BrokerConfig,
  SETTING_NAMES,
  SETTINGS,
  type SettingName,
} from '../config/config-schema.ts';
import { didYouMean } from '../config/did-you-mean.ts';
import type { Setting } from '../config/setting.ts';
import { environmentNameOf, flagNameOf } from '../config/setting-names.ts';
import { UNUSED_KEYS } from '../config/unused-keys.ts';
import type { DataVersion } from '../protocol/remoting/topic-config-codec.ts';
import type { AdminFacts } from '../remoting/admin-facts.ts';
import type { RouteRegistration } from './route-registration.ts';
import { VERSION } from './version.ts';

/** Settings that a broker must have as its store was made with, or it does not start. @source data-directory.ts */
const FIXED_SETTINGS: ReadonlySet<SettingName> = new Set(['shards', 'segmentBytes']);
/** Characters of a name that are repeated to who sent it. */
const NAME_SHOWN_MAX = 100;
/** Milliseconds that an answer waits for NameServers: well below what a client waits for the answer. */
const ANNOUNCE_MS_MAX = 2000;

export class BrokerAdminFacts implements AdminFacts {
  readonly version: string = `SluiceMQ_${VERSION}`;
  readonly startedAtMs: number;
  private readonly config: BrokerConfig;
  private readonly dataDirectory: string | undefined;
  private readonly registrations: readonly RouteRegistration[];
  private counter = 1;

  /** @param registrations - with NameServers; more may come */
  constructor(
    config: BrokerConfig,
    dataDirectory: string | undefined,
    clock: Clock,
    registrations: readonly RouteRegistration[],
  ) {
    this.config = config;
    this.dataDirectory = dataDirectory;
    this.startedAtMs = clock.epochMs();
    this.registrations = registrations;
  }

  async announced(): Promise<void> {
    await Promise.all(this.registrations.map((one) => one.known(ANNOUNCE_MS_MAX)));
  }

  /** What to do when topics or groups are others than before, and with it the version of this broker's tables. */
  counting(action: () => void): () => void {
    return () => {
      this.counter += 1;
      action();
    };
  }

  settings(): readonly (readonly [name: string, value: string])[] {
    const { config } = this;
    return SETTING_NAMES.flatMap((name) => {
      // The table has for each name a setting of its own type, which no index can say.
      const setting = SETTINGS[name] as Setting<unknown>;
      const value = config[name];
      if (setting.secret || value === undefined) return [];
      return [[name, setting.format(value)] as const];
    });
  }

  changeRefusal(names: readonly string[]): SluiceError {
    const [name = ''] = names;
    const unused = Object.hasOwn(UNUSED_KEYS, name) ? UNUSED_KEYS[name] : undefined;
    if (unused !== undefined)
      return new SluiceError('UNSUPPORTED', `${name} has no effect here`, {
        hint: unused.sentence,
      });
    const known = RENAMED_KEYS[name] ?? SETTING_NAMES.find((one) => one === name);
    if (known === undefined) {
      const near = didYouMean(name, [...SETTING_NAMES, ...Object.keys(RENAMED_KEYS)]);
      const hint =
        near === undefined ? 'docs/CONFIG.md has all settings.' : `Did you mean ${near}?`;
      const text = `there is no setting ${JSON.stringify(name.slice(0, NAME_SHOWN_MAX))}`;
      return new SluiceError('INVALID_ARGUMENT', text, { hint });
    }
    const text = `${name} is not changed while the broker runs; nothing of this request was`;
    if (FIXED_SETTINGS.has(known))
      return new SluiceError('UNSUPPORTED', text, {
        hint: `${known} is fixed when the store is created. A broker with another one begins with an empty storePathRootDir.`,
      });
    const places = `${known} in the file given by --config, ${flagNameOf(known)}, or ${environmentNameOf(known)}`;
    return new SluiceError('UNSUPPORTED', text, {
      hint: `Change it where it is set (${places}) and restart the broker.`,
    });
  }

  diskRatio(): number | undefined {
    if (this.dataDirectory === undefined) return undefined;
    try {
      const { blocks, bavail } = statfsSync(this.dataDirectory);
      return blocks === 0 ? undefined : 1 - bavail / blocks;
    } catch {
      // A tool that asks for figures must not be told of the disk's trouble by the figure that is missing.
      return undefined;
    }
  }

  dataVersion(): DataVersion {
    return { counter: this.counter, stateVersion: 0, timestamp: this.startedAtMs };
  }
}
