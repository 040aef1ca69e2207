/** Any text is either a configuration or a refusal that says what is wrong; nothing hangs and nothing else is thrown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SluiceError } from '../../src/base/errors.ts';
import { readBrokerConf } from '../../src/config/broker-conf.ts';
import { BROKER_RULES, checkGivenValues, knownNames } from '../../src/config/config-check.ts';
import { parseProperties } from '../../src/config/properties-text.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';

const key = fc.oneof(fc.constantFrom(...knownNames(BROKER_RULES)), fc.string());
const value = fc.oneof(
  fc.string(),
  fc.integer().map(String),
  fc.constantFrom('true', '1s 5s 10s', '64m', 'SYNC_FLUSH', '127.0.0.1', '\\', '\\u00'),
);
const line = fc
  .tuple(key, fc.constantFrom('=', ':', ' ', ''), value)
  .map((parts) => parts.join(''));
const content = fc
  .array(fc.oneof(line, fc.string()), { maxLength: 12 })
  .map((all) => all.join('\n'));

test('any broker.conf is a configuration or a refusal that names a key', () => {
  fc.assert(
    fc.property(content, (text) => {
      const { given, problems } = readBrokerConf(text, 'broker.conf');
      try {
        assert.equal(Object.isFrozen(checkGivenValues([given], problems).config), true);
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
        assert.equal(error.code, 'INVALID_ARGUMENT');
        assert.match(error.message, /allowed: |no setting is called |cannot be read/);
      }
    }),
    fuzzPlan(500),
  );
});

/** As java.util.Properties.store writes it. */
function stored(text: string): string {
  return text
    .replace(/[\\=:#! ]/g, '\\$&')
    .replace(/\t/g, '\\t')
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\f/g, '\\f')
    .replace(/[^\x20-\x7e]/g, (character) =>
      Array.from({ length: character.length }, (_, index) => character.charCodeAt(index))
        .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
        .join(''),
    );
}

test('every entry that Java writes is read back', () => {
  const entries = fc.array(
    fc.tuple(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'binary' })),
  );
  fc.assert(
    fc.property(entries, (written) => {
      const text = written.map((entry) => entry.map(stored).join('=')).join('\n');
      const read = parseProperties(text).map((entry) => [entry.key, entry.value]);
      assert.deepEqual(read, written);
    }),
    fuzzPlan(500),
  );
});
