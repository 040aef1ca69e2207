/** RocketMQ's plain_acl.yml: what it gives, and every slip of the pen that it is refused for. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import {
  type AccessRules,
  type Account,
  rightRefusal,
  touchedGroup,
  touchedTopic,
} from '../../src/remoting/access-rights.ts';
import { parseAclFile } from '../../src/remoting/acl-file.ts';
import { whiteAddress } from '../../src/remoting/white-address.ts';

/** As RocketMQ 4.9 has it in its conf directory; the numbers are no texts in YAML. */
const APACHE = `
globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.*

accounts:
  - accessKey: RocketMQ
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - topicA=DENY
      - topicB=PUB|SUB
      - topicC=SUB
    groupPerms:
      # the group should convert to retry topic
      - groupA=DENY
      - groupB=PUB|SUB
      - groupC=SUB

  - accessKey: rocketmq2
    secretKey: 12345678
    whiteRemoteAddress: 192.168.1.*
    # if it is admin, it could access all resources
    admin: true
dataVersion:
  - counter: 1
    timestamp: 1700000000000
`;

function account(rules: AccessRules, key: string): Account {
  const found = rules.accounts.get(key);
  assert.ok(found !== undefined, `no account ${key}`);
  return found;
}

/** The problems of a file, one a line. */
function problemsOf(text: string): readonly string[] {
  try {
    parseAclFile(text, 'acl.yml');
  } catch (error) {
    assert.ok(error instanceof SluiceError);
    assert.equal(error.code, 'INVALID_ARGUMENT');
    const [first, ...problems] = error.message.split('\n');
    assert.equal(first, 'the ACL file "acl.yml" is wrong:');
    return problems;
  }
  return [];
}

const one = (more: string): string =>
  `accounts:\n  - accessKey: the-key\n    secretKey: the-secret\n${more}`;

describe('the file of accounts', () => {
  it('is read as RocketMQ writes it', () => {
    const rules = parseAclFile(APACHE, 'plain_acl.yml');
    assert.equal(rules.whiteAddresses.length, 2);
    const user = account(rules, 'RocketMQ');
    assert.equal(user.secretKey, '12345678');
    assert.equal(user.isAdmin, false);
    assert.equal(user.isWhite('127.0.0.1'), false);
    const may = (...touched: Parameters<typeof touchedTopic>): boolean =>
      rightRefusal(user, [touchedTopic(...touched)]) === undefined;
    assert.deepEqual(
      [may('topicA', 'ANY'), may('topicB', 'PUB'), may('topicB', 'SUB'), may('topicC', 'SUB')],
      [false, true, true, true],
    );
    assert.deepEqual(
      [may('topicC', 'PUB'), may('topicC', 'ANY'), may('else', 'ANY')],
      [...[false, true, false]],
    );
    assert.equal(rightRefusal(user, [touchedGroup('groupC')]), undefined);
    assert.equal(rightRefusal(user, [touchedGroup('else')]), undefined);
    assert.match(rightRefusal(user, [touchedGroup('groupA')]) ?? '', /groupPerms is DENY/);
    const admin = account(rules, 'rocketmq2');
    assert.equal(admin.isAdmin, true);
    assert.equal(admin.isWhite('192.168.1.77'), true);
    assert.equal(rightRefusal(admin, [touchedTopic('topicA', 'PUB')]), undefined);
  });

  it('gives nothing that it does not name', () => {
    const user = account(parseAclFile(one(''), 'acl.yml'), 'the-key');
    for (const right of ['PUB', 'SUB', 'ANY'] as const)
      assert.notEqual(rightRefusal(user, [touchedTopic('t', right)]), undefined);
    assert.notEqual(rightRefusal(user, [touchedGroup('g')]), undefined);
    assert.equal(rightRefusal(user, []), undefined);
  });

  it('takes the retry topic of a group for the group, and its dead letters too', () => {
    const text = one("    topicPerms: ['%RETRY%g=SUB', '%DLQ%h=DENY']\n    groupPerms: [h=SUB]\n");
    const user = account(parseAclFile(text, 'acl.yml'), 'the-key');
    const refusal = (name: string): string | undefined =>
      rightRefusal(user, [touchedTopic(name, 'SUB')]);
    assert.equal(rightRefusal(user, [touchedGroup('g')]), undefined);
    assert.equal(refusal('%RETRY%g'), undefined);
    assert.equal(refusal('%DLQ%g'), undefined);
    assert.equal(refusal('%RETRY%h'), undefined);
    assert.match(refusal('%DLQ%h') ?? '', /topicPerms is DENY/);
    assert.match(refusal('%DLQ%else') ?? '', /defaultGroupPerm is DENY/);
  });

  const wrong: Readonly<Record<string, readonly [text: string, problem: RegExp]>> = {
    'an unknown key of the file': ['account:\n  - a\n', /line 1: "account" is no key of the file/],
    'an unknown key of an account': [
      one('    topicPerm: [a=PUB]\n'),
      /line 4: "topicPerm" is no key of an account; allowed: accessKey, .*topicPerms, groupPerms/,
    ],
    'a key that is there twice': [
      one('    secretKey: another-one\n'),
      /line 4: secretKey is .*twice/,
    ],
    'accounts by no list': ['accounts:\n  accessKey: x\n', /line 2: that is no list of accounts/],
    'a text for an account': [
      'accounts:\n  - x\n',
      /line 2: an account is no list of "key: value"/,
    ],
    'nobody at all': ['accounts: []\n', /nobody is let in/],
    'an empty file': ['', /the file is no list of "key: value"/],
    'a file that is no YAML': ['accounts: [\n', /line 2: /],
    'a short access key': [
      'accounts:\n  - accessKey: short6\n    secretKey: the-secret\n',
      /line 2: accessKey is not allowed \(its value is not shown\); allowed: 7 to 1024 characters/,
    ],
    'no secret': ['accounts:\n  - accessKey: the-key\n', /line 2: secretKey is missing/],
    'a key with a blank': [
      'accounts:\n  - accessKey: the key\n    secretKey: the-secret\n',
      /accessKey is not allowed/,
    ],
    'two accounts with one key': [
      `${one('')}  - accessKey: the-key\n    secretKey: another-one\n`,
      /line 4: accessKey is "the-key", which another account has/,
    ],
    'another word for a right': [
      one('    topicPerms:\n      - a=READ\n'),
      /line 5: .*"a=READ".*DENY, PUB/,
    ],
    'a right in small letters': [
      one('    defaultTopicPerm: pub\n'),
      /line 4: defaultTopicPerm is "pub"/,
    ],
    'a topic without a right': [
      one('    topicPerms: [a]\n'),
      /topicPerms has "a"; allowed: NAME=PERM/,
    ],
    'two rights': [one('    groupPerms: [a=SUB=PUB]\n'), /groupPerms has "a=SUB=PUB"/],
    'a name with a star': [one('    topicPerms: ["*=PUB"]\n'), /topicPerms has "\*=PUB"/],
    'a topic twice': [one('    topicPerms: [a=PUB, a=SUB]\n'), /topicPerms has "a" twice/],
    'a group twice, once by its retry topic': [
      one("    topicPerms: ['%RETRY%g=SUB']\n    groupPerms: [g=DENY]\n"),
      /%RETRY%g and the group g are one/,
    ],
    'a doubtful admin': [one('    admin: yes\n'), /line 4: admin is "yes"; allowed: true, false/],
    'an address that is none': [
      one('    whiteRemoteAddress: 10.0.0\n'),
      /line 4: whiteRemoteAddress is "10.0.0"; allowed: an IP address/,
    ],
    'a list of one address too short': [
      `globalWhiteRemoteAddresses: [10.0.0.256]\n${one('')}`,
      /globalWhiteRemoteAddresses is "10.0.0.256"/,
    ],
    'rights that are not served': [one('    resourcePerms: []\n'), /"resourcePerms" is no key/],
    'an alias': [`x: &x [a=PUB]\n${one('    topicPerms: *x\n')}`, /"x" is no key of the file/],
  };
  for (const [what, [text, problem]] of Object.entries(wrong))
    it(`is refused for ${what}`, () => {
      const problems = problemsOf(text);
      assert.ok(
        problems.some((line) => problem.test(line)),
        problems.join('\n'),
      );
      assert.ok(!problems.join('').includes('the-secret'));
    });

  it('names all that is wrong at once, with lines', () => {
    const problems = problemsOf(
      one('    admin: maybe\n    defaultGroupPerm: ALL\n    rights: none\n'),
    );
    assert.deepEqual(problems.map((line) => line.split(':')[0]).sort(), [
      'line 4',
      'line 5',
      'line 6',
    ]);
  });
});

describe('white addresses', () => {
  const cases: Readonly<
    Record<string, readonly [inside: readonly string[], outside: readonly string[]]>
  > = {
    '': [[], ['127.0.0.1', '::1', '']],
    '*': [['127.0.0.1', '::1'], []],
    '10.0.0.1': [['10.0.0.1'], ['10.0.0.10', '10.0.0.100', '110.0.0.1', '', '::1']],
    '10.0.*.*': [
      ['10.0.0.1', '10.0.255.255'],
      ['10.1.0.1', '100.0.0.1'],
    ],
    '10.0.1-3.*': [
      ['10.0.1.9', '10.0.3.9'],
      ['10.0.0.9', '10.0.4.9', '10.0.30.9'],
    ],
    '10.0.0.{5,60}': [
      ['10.0.0.5', '10.0.0.60'],
      ['10.0.0.6', '10.0.0.50'],
    ],
    '10.0.0.1, 10.0.0.{7,8},::1': [
      ['10.0.0.1', '10.0.0.8', '0:0:0:0:0:0:0:1'],
      ['10.0.0.2', '::2'],
    ],
    '2001:db8::1': [['2001:DB8:0:0::1'], ['2001:db8::2', '10.0.0.1']],
  };
  for (const [text, [inside, outside]] of Object.entries(cases))
    it(`${JSON.stringify(text)} lets in what it says`, () => {
      const isWhite = whiteAddress(text);
      assert.ok(isWhite !== undefined);
      for (const address of inside) assert.equal(isWhite(address), true, address);
      for (const address of outside) assert.equal(isWhite(address), false, address);
    });

  it('what is none of the forms is none', () => {
    for (const text of [
      '10.0.0',
      '10.0.0.300',
      '10.0.0.9-1',
      '10.0.0.{a}',
      'localhost',
      '10.0.0.0/8',
      ',',
    ])
      assert.equal(whiteAddress(text), undefined, text);
  });
});
