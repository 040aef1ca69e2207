/**
 * docs/CONFIG.md from the table of settings. Run as a program it writes the file; a test compares the file with what
 * would be written.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RENAMED_KEYS } from '../config/config-check.ts';
import { SETTING_NAMES, SETTINGS } from '../config/config-schema.ts';
import { NAMESRV_SETTING_NAMES, NAMESRV_SETTINGS } from '../config/namesrv-schema.ts';
import type { Setting } from '../config/setting.ts';
import { environmentNameOf, flagNameOf } from '../config/setting-names.ts';
import { UNUSED_KEYS } from '../config/unused-keys.ts';
import { projectRoot } from './source-tree.ts';

const HEAD = `# Configuration

Every setting has one name. It is written

- on the command line as a flag: \`${flagNameOf('frontDoorPort')} 9000\`,
- in the environment: \`${environmentNameOf('frontDoorPort')}=9000\`,
- in a file, named by \`--config\` or by \`SLUICE_CONFIG\`: YAML (\`frontDoorPort: 9000\`), JSON, or a RocketMQ
  \`broker.conf\` (\`frontDoorPort=9000\`), of 64 KiB at most.

Flags win over the environment, the environment over the file, the file over the defaults. An unknown key or a value that is not
allowed stops the start with a message that names the key, the value, where it stands, and what is allowed.

Sizes are bytes or have a unit: \`65536\`, \`64k\` and \`64KiB\` are the same; k, m, g and KiB, MiB, GiB are powers of 1024.
Durations are milliseconds or have a unit: \`30000\`, \`30s\`; ms, s, m, h, d. Lists are lists in YAML and JSON, and have commas or
blanks between elsewhere.

This page is written by \`npm run config-doc\` from \`src/config/config-schema.ts\` and \`src/config/namesrv-schema.ts\`.
`;

const ROCKETMQ = `## A broker.conf of RocketMQ

A file with \`key=value\` lines is read as RocketMQ reads it. Settings above that have RocketMQ's name have its meaning. These
have another name or unit here:

| RocketMQ | here |
| --- | --- |
`;

const ROCKETMQ_NOTES = `
\`diskMaxUsedSpaceRatio\` is a percentage there. \`messageDelayLevel\` sets \`retryBackoffMs\` too, without its first two levels,
as RocketMQ's own retries leave them out. \`timerMaxDelaySec\` is in seconds there.

These are checked and have no effect, because what they belong to does not exist here yet; one warning names them:

| key | means | allowed |
| --- | --- | --- |
`;

const REST = `
All other keys of RocketMQ are named in the same warning. A key that looks like a mistyped one of this page stops the start.
`;

const NAMESRV = `## NameServer

The settings of \`sluice namesrv\`, written in the same places; its file may be a \`namesrv.properties\` of RocketMQ. Settings of brokers
that stand in the same environment are passed over, and the other way round.
`;

/** The text of docs/CONFIG.md. */
export function configDocument(): string {
  const sections = [...new Set(SETTING_NAMES.map((name) => SETTINGS[name].section))];
  const parts = sections.map((section) => {
    const names = SETTING_NAMES.filter((name) => SETTINGS[name].section === section);
    return `## ${section}\n\n${names.map((name) => settingText(name, SETTINGS[name] as Setting<unknown>)).join('\n')}`;
  });
  const renamed = Object.entries(RENAMED_KEYS).map(([from, to]) => `| \`${from}\` | \`${to}\` |\n`);
  const unused = Object.entries(UNUSED_KEYS).map(
    ([key, { sentence, allowed }]) => `| \`${key}\` | ${sentence} | ${allowed} |\n`,
  );
  const rocketmq = `${ROCKETMQ}${renamed.join('')}${ROCKETMQ_NOTES}${unused.join('')}${REST}`;
  const ofNameServer = NAMESRV_SETTING_NAMES.map((name) =>
    settingText(name, NAMESRV_SETTINGS[name] as Setting<unknown>),
  );
  const nameServer = `${NAMESRV}\n${ofNameServer.join('\n')}`;
  return [HEAD, ...parts, rocketmq, nameServer].join('\n');
}

/** The table knows each value's type; here only its text matters. */
function settingText(name: string, setting: Setting<unknown>): string {
  const value =
    setting.defaultText ?? `\`${setting.format(setting.defaultValue as never) || '(empty)'}\``;
  return [
    `### \`${name}\`\n\n${setting.sentence}\n`,
    `- default: ${value}`,
    `- allowed: ${setting.allowed}`,
    ...(setting.unit === '' ? [] : [`- unit: ${setting.unit}`]),
    `- also: \`${flagNameOf(name)}\`, \`${environmentNameOf(name)}\`\n`,
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(projectRoot(), 'docs/CONFIG.md'), configDocument());
}
