/** What a setting is, whatever role it belongs to: its kind, what it is for, its default. Control path, at start only. */
import type { Kind } from './setting-kinds.ts';

/** Where a setting stands in docs/CONFIG.md. */
export type SettingSection =
  | 'Storage'
  | 'Front door'
  | 'Shards and memory'
  | 'Topics and groups'
  | 'Limits'
  | 'Access'
  | 'Identity and logs'
  | 'Replication'
  | 'RocketMQ clients'
  | 'Registration'
  | 'NameServer';

/** One setting: its kind, what it is for, its default. */
export type Setting<Value> = Kind<Value> & {
  readonly section: SettingSection;
  readonly sentence: string;
  readonly defaultValue: Value;
  /** The default in words, where the value alone does not say it. */
  readonly defaultText: string | undefined;
  /** Its value is never shown in errors, logs or documents. */
  readonly secret: boolean;
};

/** A setting with a default. */
export function setting<Value>(
  section: SettingSection,
  kind: Kind<Value>,
  defaultValue: Value,
  sentence: string,
): Setting<Value> {
  return { ...kind, section, sentence, defaultValue, defaultText: undefined, secret: false };
}

/** A setting that may be left out; its value is then undefined and `defaultText` says what happens. */
export function optional<Value>(
  section: SettingSection,
  kind: Kind<Value>,
  defaultText: string,
  sentence: string,
): Setting<Value | undefined> {
  return {
    unit: kind.unit,
    allowed: kind.allowed,
    schema: kind.schema.optional(),
    format: (value) => (value === undefined ? '' : kind.format(value)),
    section,
    sentence,
    defaultValue: undefined,
    defaultText,
    secret: false,
  };
}

/** The same setting with a value that is never shown. */
export function secret(base: Setting<string | undefined>): Setting<string | undefined> {
  return {
    ...base,
    secret: true,
    format: (value) => (value === undefined ? '' : '(not shown)'),
  };
}
