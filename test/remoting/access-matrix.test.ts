/**
 * Who may do what at the port of RocketMQ's clients: every kind of account against every kind of request, with what a request
 * names and what it touches held apart. What must be allowed stands here by itself, written down request by request: nothing is
 * taken from the code that decides.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ReceivedCommand } from '../../src/protocol/remoting/command.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { codesWithTouches } from '../../src/remoting/touched-resources.ts';
import {
  ACCESS_REQUESTS,
  type AccessRequest,
  pullFields,
} from '../../src/testing/access-requests.ts';
import {
  AccessRig,
  bytesOf,
  halfFields,
  type Signer,
  sendFields,
} from '../../src/testing/access-rig.ts';

/** `own` and `team` are what most may touch; `secret` and `rivals` are what they may not. */
const ACL = `
accounts:
  - accessKey: an-admin
    secretKey: secret-of-an-admin
    admin: true
  - accessKey: a-writer
    secretKey: secret-of-a-writer
    topicPerms:
      - own=PUB
      - DefaultCluster_REPLY_TOPIC=PUB
  - accessKey: a-reader
    secretKey: secret-of-a-reader
    topicPerms:
      - own=SUB
    groupPerms:
      - team=SUB
  - accessKey: a-worker
    secretKey: secret-of-a-worker
    topicPerms: [own=PUB|SUB]
    groupPerms: [team=PUB|SUB]
  - accessKey: by-default
    secretKey: secret-of-by-default
    defaultTopicPerm: PUB|SUB
    defaultGroupPerm: SUB
    topicPerms: [secret=DENY]
    groupPerms: [rivals=DENY]
  - accessKey: a-letter-reader
    secretKey: secret-of-a-letter-reader
    topicPerms: ['%DLQ%rivals=SUB']
    groupPerms: [team=SUB]
  - accessKey: nobody-much
    secretKey: secret-of-nobody-much
  - accessKey: from-elsewhere
    secretKey: secret-of-from-elsewhere
    whiteRemoteAddress: 10.99.0.*
  - accessKey: from-here
    secretKey: secret-of-from-here
    whiteRemoteAddress: 127.0.0.1
`;

type Who = Signer & { readonly rights: readonly string[] | 'all' | 'stranger' };

const signer = (accessKey: string): Signer => ({ accessKey, secretKey: `secret-of-${accessKey}` });

const WHO: Readonly<Record<string, Who>> = {
  'an admin': { ...signer('an-admin'), rights: 'all' },
  'who comes from a white address, with any secret': {
    ...{ accessKey: 'from-here', secretKey: 'none', rights: 'all' },
  },
  'a writer': { ...signer('a-writer'), rights: ['PUB own', 'PUB DefaultCluster_REPLY_TOPIC'] },
  'a reader': { ...signer('a-reader'), rights: ['SUB own', 'group team'] },
  'a worker': { ...signer('a-worker'), rights: ['PUB own', 'SUB own', 'group team'] },
  'one with defaults': {
    ...signer('by-default'),
    rights: ['PUB own', 'SUB own', 'group team', 'PUB DefaultCluster_REPLY_TOPIC', 'PUB other'],
  },
  'a reader of letters': {
    ...signer('a-letter-reader'),
    rights: ['SUB %DLQ%rivals', 'group team'],
  },
  'one without rights': { ...signer('nobody-much'), rights: [] },
  'one whose white address is another one': { ...signer('from-elsewhere'), rights: [] },
  'a wrong secret': {
    ...{ accessKey: 'an-admin', secretKey: 'guessed-secret', rights: 'stranger' },
  },
  'an unknown key': { ...signer('unheard-of'), rights: 'stranger' },
  'nobody at all': { rights: 'stranger' },
};

function mayDo({ rights }: Who, { needs, oneOf }: AccessRequest): boolean {
  if (rights === 'all') return true;
  if (rights === 'stranger' || needs === 'admin') return false;
  return (
    needs.every((need) => rights.includes(need)) &&
    (oneOf === undefined || oneOf.some((need) => rights.includes(need)))
  );
}

/** The guard's refusal: handlers have code 16 too, for other reasons. */
const GUARD =
  /^the account \S+ (has no right|is no admin)|^the signature|^no access key|not signed/;

function isRefused({ code, remark }: ReceivedCommand): boolean {
  return code === RESPONSES.NO_PERMISSION && GUARD.test(remark ?? '');
}

const body = bytesOf('body');

describe('accounts of RocketMQ clients', () => {
  let rig: AccessRig;

  before(async () => {
    rig = await AccessRig.start(ACL, signer('an-admin'));
    for (const topic of ['own', 'secret', '%RETRY%team', '%RETRY%rivals'])
      await rig.stored(sendFields(topic));
    for (const group of ['team', 'rivals']) {
      const fields = { offset: await rig.stored(sendFields('own')), group, delayLevel: '-1' };
      await rig.prepare(REQUESTS.CONSUMER_SEND_MSG_BACK, { fields });
    }
  });
  after(() => rig.close());

  for (const [who, account] of Object.entries(WHO))
    it(`${who} may do what it has the right to, and nothing else`, async () => {
      const wrong: string[] = [];
      for (const [what, row] of Object.entries(ACCESS_REQUESTS)) {
        const asked = await row.make(rig);
        const answer = await rig.ask(account, row.code, asked);
        if (isRefused(answer) === mayDo(account, row))
          wrong.push(`${what}: ${answer.code} ${answer.remark}`);
      }
      assert.deepEqual(wrong, []);
    });

  it('what is refused has changed nothing', async () => {
    const half = await rig.stored(halfFields('secret'));
    const fields = { commitLogOffset: half, commitOrRollback: '8', topic: 'own' };
    for (const who of ['a-writer', 'a-worker', 'by-default', 'nobody-much']) {
      const answer = await rig.ask(signer(who), REQUESTS.END_TRANSACTION, { fields });
      assert.equal(answer.code, RESPONSES.NO_PERMISSION);
    }
    assert.ok(await rig.isWaiting(half));
  });

  it('a refusal names the account, the right and what it is about', async () => {
    const asked = { fields: sendFields('secret'), body };
    const answer = await rig.ask(signer('a-worker'), REQUESTS.SEND_MESSAGE_V2, asked);
    assert.equal(
      answer.remark,
      'the account a-worker has no right PUB on the topic "secret" (defaultTopicPerm is DENY)',
    );
    const admin = await rig.ask(signer('a-worker'), REQUESTS.GET_BROKER_CONFIG);
    assert.equal(
      admin.remark,
      'the account a-worker is no admin, which GET_BROKER_CONFIG asks for',
    );
  });

  it('what is not there touches nothing, and is told so', async () => {
    for (const [code, field] of [
      [REQUESTS.VIEW_MESSAGE_BY_ID, 'offset'],
      [REQUESTS.END_TRANSACTION, 'commitLogOffset'],
      [REQUESTS.CONSUMER_SEND_MSG_BACK, 'offset'],
    ] as const)
      for (const offset of ['281474976710655', '999999999999', 'nowhere', '-1']) {
        const fields = { [field]: offset, group: 'team', commitOrRollback: '8' };
        const answer = await rig.ask(signer('a-worker'), code, { fields });
        assert.match(answer.remark ?? '', /MESSAGE_NOT_FOUND/, `${code} ${offset}`);
      }
  });

  it('every request that is served has an entry that says what it touches, and no other has', async () => {
    const served: number[] = [];
    for (const code of Object.values(REQUESTS)) {
      const answer = await rig.ask(signer('an-admin'), code);
      if (answer.code !== RESPONSES.REQUEST_CODE_NOT_SUPPORTED) served.push(code);
    }
    const sorted = (codes: readonly number[]): number[] => [...codes].sort((a, b) => a - b);
    assert.deepEqual(sorted(codesWithTouches()), sorted(served));
    // The matrix leaves none out.
    assert.deepEqual(
      sorted([...new Set(Object.values(ACCESS_REQUESTS).map(({ code }) => code))]),
      sorted(served),
    );
  });

  it('a request that is not served is answered so to whoever may ask at all', async () => {
    const code = REQUESTS.POP_MESSAGE;
    const known = await rig.ask(signer('nobody-much'), code);
    assert.equal(known.code, RESPONSES.REQUEST_CODE_NOT_SUPPORTED);
    assert.equal((await rig.ask({}, code)).code, RESPONSES.NO_PERMISSION);
  });

  it('every account may write its trace, and no more of it', async () => {
    const asked = { fields: sendFields('RMQ_SYS_TRACE_TOPIC'), body };
    const sent = await rig.ask(signer('nobody-much'), REQUESTS.SEND_MESSAGE_V2, asked);
    assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
    const fields = pullFields('team', 'RMQ_SYS_TRACE_TOPIC');
    const pulled = await rig.ask(signer('a-worker'), REQUESTS.PULL_MESSAGE, { fields });
    assert.ok(isRefused(pulled), pulled.remark);
  });
});
