/** Settings as flags: every one of them arrives under its own name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { settingOption, settingsAmong } from '../../src/cli/serve-process.ts';
import { SETTING_NAMES, SETTINGS } from '../../src/config/config-schema.ts';
import { flagNameOf } from '../../src/config/setting-names.ts';

test('every setting of a broker can be given as a flag', () => {
  const command = new Command();
  for (const name of SETTING_NAMES) command.addOption(settingOption(name, SETTINGS[name]));
  const words = SETTING_NAMES.flatMap((name) => [flagNameOf(name), `value of ${name}`]);
  command.parse(words, { from: 'user' });
  assert.deepEqual(
    settingsAmong(command.opts(), SETTING_NAMES),
    Object.fromEntries(SETTING_NAMES.map((name) => [name, `value of ${name}`])),
  );
});
