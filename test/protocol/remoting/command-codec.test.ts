/** Frames of the remoting protocol in both header forms: golden ones of Java, written ones, cut ones, wrong ones. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { REMOTING_FIELDS_MAX, REMOTING_FRAME_BYTES_MAX } from '../../../src/base/limits.ts';
import { CommandView, type ReceivedCommand } from '../../../src/protocol/remoting/command.ts';
import { decodeCommand } from '../../../src/protocol/remoting/command-decoder.ts';
import { encodeCommand } from '../../../src/protocol/remoting/command-encoder.ts';
import {
  FORM_BINARY,
  FORM_JSON,
  FRAME_TOO_LARGE,
  frameBytes,
  type HeaderForm,
  NOT_A_FRAME,
} from '../../../src/protocol/remoting/frame-layout.ts';
import { fieldName } from '../../../src/protocol/remoting/header-fields.ts';
import { projectRoot } from '../../../src/testing/source-tree.ts';

const GOLDEN = join(projectRoot(), 'test/golden/remoting');
const FORMS: readonly HeaderForm[] = [FORM_JSON, FORM_BINARY];
const goldenFiles = readdirSync(GOLDEN, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.bin'),
);

function jsonFrame(header: string, body = ''): Uint8Array {
  const headerBytes = Buffer.from(header);
  const frame = Buffer.concat([Buffer.alloc(8), headerBytes, Buffer.from(body)]);
  frame.writeInt32BE(frame.length - 4, 0);
  frame.writeInt32BE(headerBytes.length, 4);
  return frame;
}

function decodedOf(frame: Uint8Array): ReceivedCommand {
  const view = new CommandView();
  assert.equal(decodeCommand(frame, view), 'ok');
  return view.toCommand();
}

const SAMPLE: ReceivedCommand = {
  code: 105,
  language: 9,
  version: 317,
  opaque: -7,
  flag: 2,
  remark: 'what "happened" \u4e2d\u0001',
  fields: new Map([
    ['topic', 'T\u00e9"1'],
    ['queueId', '3'],
    ['key\\', 'a\u0002b\u0001'],
  ]),
  body: Uint8Array.of(0, 1, 255),
};

/** Who wrote a golden frame, by its path: `send-message-v2/java-4.9.8-json.bin`, `pull-message-answer/…`. */
function writerOf(file: string): { readonly language: number; readonly version: number } {
  // Answers and requests of the broker were recorded with that of 5.3.3, which writes JSON to everybody.
  if (isOfBroker(file) || file.includes('java-5.3.3')) return { language: 0, version: 479 };
  return file.includes('java-4.9.8')
    ? { language: 0, version: 409 }
    : { language: 9, version: 317 };
}

/** From the broker itself, not from a client. */
function isOfBroker(file: string): boolean {
  return /-(answer|from-broker)\//.test(file);
}

/**
 * What Java's clients encode is written again to the same bytes. Not so: `extFields` that hold nothing, which answers of
 * the broker have and two requests, a field of a binary header that holds nothing (Java reads neither), and the order of
 * Go's fields.
 */
const SAME_VALUES_ONLY: readonly RegExp[] = [
  /-answer\//,
  /^(un)?lock-batch-mq\/java-5\.3\.3-json/,
  /^update-and-create-topic\/java-5\.3\.3-binary/,
  /\/go-2-json/,
];

describe('golden frames of clients and brokers of RocketMQ', () => {
  for (const file of goldenFiles) {
    it(`${file} is read, and written again`, () => {
      const frame = new Uint8Array(readFileSync(join(GOLDEN, file)));
      const command = decodedOf(frame);
      const { language, version } = writerOf(file);
      assert.equal(command.version, version);
      assert.equal(command.language, language);
      const form = frame[4] as HeaderForm;
      const isBinary = file.includes('binary') && !isOfBroker(file);
      assert.equal(form, isBinary ? FORM_BINARY : FORM_JSON);
      const again = encodeCommand(command, form);
      if (SAME_VALUES_ONLY.some((one) => one.test(file)))
        assert.deepEqual(decodedOf(again), command);
      else assert.deepEqual(again, frame);
    });
  }

  it('are there for every client and header form', () => {
    for (const client of ['java-4.9.8', 'java-5.3.3'])
      for (const form of ['json', 'binary'])
        for (const command of [
          'send-message-v2',
          'send-batch-message',
          'pull-message',
          'heart-beat',
        ])
          assert.ok(goldenFiles.includes(`${command}/${client}-${form}.bin`), `${client} ${form}`);
    for (const command of ['send-message', 'send-batch-message', 'pull-message', 'heart-beat'])
      assert.ok(goldenFiles.includes(`${command}/go-2-json.bin`), command);
  });
});

describe('a command', () => {
  for (const form of FORMS) {
    it(`comes back from form ${form}`, () => {
      assert.deepEqual(decodedOf(encodeCommand(SAMPLE, form)), SAMPLE);
    });

    it(`comes back from form ${form} without remark, fields and body`, () => {
      const { remark: _r, fields: _f, body: _b, ...bare } = SAMPLE;
      const none = { remark: undefined, fields: new Map(), body: new Uint8Array(0) };
      assert.deepEqual(decodedOf(encodeCommand(bare, form)), { ...bare, ...none });
    });

    it(`cut anywhere in form ${form} is refused, and never throws`, () => {
      const frame = encodeCommand(SAMPLE, form);
      const view = new CommandView();
      for (let end = 0; end < frame.length; end += 1) {
        assert.equal(decodeCommand(frame.subarray(0, end), view), 'frame-length', `${end} bytes`);
        const shortened = frame.slice(0, end);
        if (end > 8) new DataView(shortened.buffer).setInt32(0, end - 4);
        const headerEnd = frame.length - SAMPLE.body.length;
        const verdict = decodeCommand(shortened, view);
        if (end < headerEnd) assert.notEqual(verdict, 'ok', `${end} bytes`);
      }
    });
  }

  it('is answered as fastjson writes it', () => {
    const frame = encodeCommand({ code: 0, opaque: 5, flag: 1, fields: new Map([['a', 'b']]) });
    assert.equal(
      Buffer.from(frame.subarray(8)).toString(),
      '{"code":0,"extFields":{"a":"b"},"flag":1,"language":"JAVA","opaque":5,"serializeTypeCurrentRPC":"JSON","version":479}',
    );
  });

  it('with a code above 32767 does not fit the binary form', () => {
    const pop = { code: 200_050, opaque: 1, flag: 0 };
    assert.throws(() => encodeCommand(pop, FORM_BINARY), { code: 'INVALID_ARGUMENT' });
    assert.equal(decodedOf(encodeCommand(pop)).code, 200_050);
  });

  it('that is larger than a frame is refused before it is made', () => {
    const body = { length: REMOTING_FRAME_BYTES_MAX } as Uint8Array;
    const command = { code: 0, opaque: 1, flag: 1, body };
    assert.throws(() => encodeCommand(command), { code: 'INVALID_ARGUMENT' });
  });
});

describe('the length of a frame', () => {
  const lengthOf = (...bytes: number[]): number => frameBytes(Uint8Array.from(bytes), 0);

  it('counts itself, and is refused for TLS, HTTP, garbage and giants', () => {
    assert.equal(lengthOf(0, 0, 0, 20), 24);
    assert.equal(lengthOf(0, 0xff, 0xff, 0xfc), REMOTING_FRAME_BYTES_MAX);
    assert.equal(lengthOf(0, 0xff, 0xff, 0xfd), FRAME_TOO_LARGE);
    assert.equal(lengthOf(1, 0, 0, 0), FRAME_TOO_LARGE);
    assert.equal(lengthOf(0x16, 3, 1, 0), NOT_A_FRAME);
    assert.equal(lengthOf(0x47, 0x45, 0x54, 0x20), NOT_A_FRAME);
    assert.equal(lengthOf(0, 0, 0, 4), NOT_A_FRAME);
    assert.equal(lengthOf(0xff, 0xff, 0xff, 0xff), NOT_A_FRAME);
  });
});

describe('a JSON header', () => {
  const verdictOf = (header: string): string => decodeCommand(jsonFrame(header), new CommandView());

  it('may have blanks, nulls, unknown members, and values without quotes', () => {
    const command = decodedOf(
      jsonFrame(
        ' { "code" : 34 , "extFields" : { "n" : 42 , "b" : true , "x":null, "s":"t"} , "other":{"a":[1,{"b":"}"}]},' +
          ' "flag":0,"language":"RUST","opaque":1,"remark":null,"serializeTypeCurrentRPC":"JSON","version":121 } ',
        '{}',
      ),
    );
    assert.deepEqual(
      [...command.fields],
      [
        ['n', '42'],
        ['b', 'true'],
        ['s', 't'],
      ],
    );
    assert.equal(command.language, 12);
    assert.equal(command.remark, undefined);
    assert.equal(command.body.length, 2);
  });

  it('may have no fields, and a language that nobody knows', () => {
    const command = decodedOf(jsonFrame('{"code":1,"extFields":null,"language":"KLINGON"}'));
    assert.equal(command.fields.size, 0);
    assert.equal(command.language, 7);
  });

  it('may have separators of properties as they are: old clients in C++ do not escape them', () => {
    const header = '{"code":10,"extFields":{"properties":"TAGS\u0001a\u0002"}}';
    const { fields } = decodedOf(jsonFrame(header));
    assert.equal(fields.get('properties'), 'TAGS\u0001a\u0002');
  });

  it('is refused where it is no JSON', () => {
    for (const header of [
      ...['[]', '{', '{"code":1', '{"code":1}}', '{"code":1,}', "{'code':1}", '{"code":01x}'],
      ...['{"code":1 "flag":0}', '{"code":1,"remark":"a}', '{"code":1,"x":"\\q"}', 'null'],
      ...['{"code":1,"x":"\\u12g4"}', '{"code":1,"extFields":{"a"}}', '{"code":1,"extFields":{'],
      ...[
        `{"code":1,"x":${'['.repeat(100)}${']'.repeat(100)}}`,
        '{"code":1,"x":truth}',
        '{"code":1,"x":-}',
      ],
    ])
      assert.equal(verdictOf(header), 'header-syntax', header);
  });

  it('is refused where a value is not what it must be', () => {
    for (const header of [
      ...['{}', '{"code":"1"}', '{"code":1.5}', '{"code":4294967296}', '{"code":1,"opaque":null}'],
      ...['{"code":1,"extFields":{"a":{}}}', '{"code":1,"extFields":[1]}', '{"code":1,"remark":5}'],
    ])
      assert.equal(verdictOf(header), 'header-value', header);
  });

  it('with too many fields is refused in both forms', () => {
    const fields = new Map(
      Array.from({ length: REMOTING_FIELDS_MAX + 1 }, (_, index) => [`f${index}`, 'v']),
    );
    for (const form of FORMS) {
      const frame = encodeCommand({ code: 1, opaque: 1, flag: 0, fields }, form);
      assert.equal(decodeCommand(frame, new CommandView()), 'too-many-fields');
    }
  });
});

describe('a binary header', () => {
  it('is refused where its lengths do not fit', () => {
    const frame = encodeCommand(SAMPLE, FORM_BINARY);
    const view = new DataView(frame.buffer);
    const spoil = (at: number, value: number): string => {
      const before = view.getInt32(at);
      view.setInt32(at, value);
      const verdict = decodeCommand(frame, new CommandView());
      view.setInt32(at, before);
      return verdict;
    };
    const remarkAt = 8 + 13;
    const fieldsAt = remarkAt + 4 + view.getInt32(remarkAt);
    for (const length of [-1, 0x7fff_ffff, 1000]) {
      assert.equal(spoil(remarkAt, length), 'header-syntax');
      assert.equal(spoil(fieldsAt, length), 'header-syntax');
      assert.equal(spoil(fieldsAt + 4 + 2 + 5, length), 'header-syntax');
    }
  });

  it('leaves out an empty value, as Java does', () => {
    const fields = new Map([
      ['a', ''],
      ['b', '1'],
    ]);
    const frame = encodeCommand({ code: 1, opaque: 1, flag: 0, fields }, FORM_BINARY);
    assert.deepEqual([...decodedOf(frame).fields], [['b', '1']]);
  });

  it('of another form is refused', () => {
    const frame = encodeCommand(SAMPLE, FORM_BINARY);
    frame[4] = 2;
    assert.equal(decodeCommand(frame, new CommandView()), 'header-form');
  });
});

describe('the fields of a header', () => {
  it('are read by type; of two with one name the last counts', () => {
    const view = new CommandView();
    const header =
      '{"code":1,"extFields":{"a":"1","b":"-12","c":"9007199254740993","d":"x1","e":"","f":"TRUE","g":"no","a":"2","k\\u0065y":"v"}}';
    assert.equal(decodeCommand(jsonFrame(header), view), 'ok');
    const { fields } = view;
    assert.equal(fields.integer(fieldName('a')), 2);
    assert.equal(fields.integer(fieldName('b')), -12);
    for (const name of ['c', 'd', 'e']) assert.ok(Number.isNaN(fields.integer(fieldName(name))));
    assert.equal(fields.integer(fieldName('z')), undefined);
    assert.equal(fields.boolean(fieldName('f')), true);
    assert.equal(fields.boolean(fieldName('g')), false);
    assert.equal(fields.boolean(fieldName('z')), undefined);
    assert.equal(fields.text(fieldName('key')), 'v');
    assert.ok(fields.has(fieldName('key')));
    assert.equal(Buffer.from(fields.rawBytes(fieldName('b')) ?? []).toString(), '-12');
    assert.equal(fields.rawBytes(fieldName('zz')), undefined);
  });

  it('of a frame before are forgotten', () => {
    const view = new CommandView();
    decodeCommand(encodeCommand(SAMPLE), view);
    decodeCommand(encodeCommand({ code: 1, opaque: 1, flag: 1 }, FORM_BINARY), view);
    assert.equal(view.fields.count, 0);
    assert.equal(view.remark, undefined);
    assert.equal(view.body.length, 0);
    assert.ok(view.isResponse);
    assert.ok(!view.isOneway);
  });
});
