/** Any text is either a file of accounts or a refusal with lines; nothing hangs, nothing else is thrown, no right comes from nowhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SluiceError } from '../../src/base/errors.ts';
import { rightRefusal, touchedGroup, touchedTopic } from '../../src/remoting/access-rights.ts';
import { parseAclFile } from '../../src/remoting/acl-file.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';

const word = fc.oneof(
  fc.constantFrom('accounts', 'accessKey', 'secretKey', 'admin', 'topicPerms', 'groupPerms'),
  fc.constantFrom('globalWhiteRemoteAddresses', 'defaultTopicPerm', 'whiteRemoteAddress'),
  fc.constantFrom(
    'true',
    'PUB|SUB',
    'a=SUB',
    '%RETRY%g=PUB',
    '10.0.0.*',
    'long-enough',
    '*',
    '&a',
    '*a',
  ),
  fc.string({ maxLength: 12 }),
);
const line = fc
  .tuple(
    fc.constantFrom('', '  ', '    ', '  - ', '- '),
    word,
    fc.constantFrom(':', ': ', ''),
    word,
  )
  .map((parts) => parts.join(''));
const content = fc.array(line, { maxLength: 14 }).map((lines) => lines.join('\n'));

test('any text is a file of accounts or a refusal with lines', () => {
  fc.assert(
    fc.property(content, (text) => {
      try {
        const { accounts } = parseAclFile(text, 'acl.yml');
        for (const account of accounts.values()) {
          assert.ok(account.accessKey.length > 6 && account.secretKey.length > 6);
          // A name that no line can have: only a default, or an admin, gives it.
          if (account.isAdmin || /default|admin/.test(text)) continue;
          assert.notEqual(rightRefusal(account, [touchedTopic('not-in-it', 'ANY')]), undefined);
          assert.notEqual(rightRefusal(account, [touchedGroup('not-in-it')]), undefined);
        }
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
        assert.equal(error.code, 'INVALID_ARGUMENT');
        assert.match(error.message, /^the ACL file "acl.yml" is wrong:\nline \d+: /);
      }
    }),
    fuzzPlan(1000),
  );
});
