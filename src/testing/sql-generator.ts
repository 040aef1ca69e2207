/**
 * Random SQL filters, each with a second evaluator: the generator knows what it means by what it writes, and evaluates that
 * with values as Java has them, by exceptions and with nothing compiled. Shares no code with src/filter.
 */
import type { Prng } from '../base/prng.ts';
import {
  alike,
  equal,
  integer,
  JavaException,
  type JavaNumber,
  type JavaValue,
  javaCompare,
  javaNegate,
  javaRead,
} from './java-semantics.ts';

export type Properties = ReadonlyMap<string, string>;

/** One part of a filter: its text, and what it is for a message. Throws what RocketMQ calls an evaluation error. */
type Part = {
  readonly text: string;
  readonly kind: 'property' | 'text' | 'number' | 'signed' | 'constant' | 'condition' | 'nothing';
  readonly value: (properties: Properties) => JavaValue;
};

export type GeneratedFilter = {
  readonly text: string;
  /** TRUE, FALSE, null, or `error` where RocketMQ throws. */
  readonly evaluate: (properties: Properties) => boolean | null | 'error';
};

const NAMES: readonly string[] = ['a', 'b', 'price', '_x', '$y', 'TAGS', 'KEYS'];
const TEXTS: readonly string[] = [
  'x',
  'y',
  '',
  'true',
  'FALSE',
  "it's",
  '5',
  '5.0',
  'é',
  '-3',
  '2147483648',
];
const INTEGERS: readonly string[] = [
  '0',
  '1',
  '5',
  '7l',
  '2147483647',
  '2147483648',
  '9007199254740993L',
  '9223372036854775807',
];
const DOUBLES: readonly string[] = [
  '5.0',
  '.5',
  '1e3',
  '2147483648.0',
  '9007199254740993.0',
  '4.9E-324',
];

/** Values of properties: what is compared with, and what cannot be read. */
const VALUES: readonly string[] = [
  ...TEXTS,
  ...[
    '1',
    '7',
    '-5',
    '+5',
    ' 5 ',
    '0.5',
    '1000',
    '1E3',
    'NaN',
    '-Infinity',
    '-0.0',
    '5f',
    '5.',
    '.',
    '-',
    'True',
    'xy',
  ],
  ...[
    '2147483647',
    '9007199254740992',
    '9007199254740993',
    '9223372036854775808',
    '-9223372036854775808',
    '1_0',
  ],
];

export function randomProperties(prng: Prng): Properties {
  const properties = new Map<string, string>();
  for (const name of NAMES) {
    if (!prng.chance(0.7)) continue;
    const value = pick(prng, VALUES);
    // A record without tag or key has none; an empty one is the same.
    if (value !== '' || (name !== 'TAGS' && name !== 'KEYS')) properties.set(name, value);
  }
  return properties;
}

export function randomFilter(prng: Prng): GeneratedFilter {
  const part = new Generator(prng).condition(4);
  return {
    text: part.text,
    evaluate: (properties) => {
      try {
        const value = asBoolean(part)(properties);
        return value;
      } catch (error) {
        if (error instanceof JavaException) return 'error';
        throw error;
      }
    },
  };
}

type CompareSign = '=' | '<>' | '<' | '<=' | '>' | '>=';

class Generator {
  private readonly prng: Prng;

  constructor(prng: Prng) {
    this.prng = prng;
  }

  condition(depth: number): Part {
    const { prng } = this;
    const kind = depth === 0 ? 4 + prng.integer(6) : prng.integer(10);
    if (kind === 0 || kind === 1) return this.chain(depth, kind === 0);
    if (kind === 2) return this.negation(depth);
    if (kind === 3) return this.isNull(depth);
    if (kind === 4) return this.among();
    if (kind === 5) return this.search(depth);
    if (kind === 6) return this.between();
    if (kind === 7 && prng.chance(0.3)) return this.constant();
    return this.comparison(depth);
  }

  private chain(depth: number, isAnd: boolean): Part {
    const parts = Array.from({ length: 2 + this.prng.integer(3) }, () => this.operand(depth - 1));
    const decisive = !isAnd;
    return {
      text: parts.map((part) => this.nested(part)).join(this.word(isAnd ? 'AND' : 'OR')),
      kind: 'condition',
      // From left to right in pairs, as Java does it.
      value: (properties) =>
        parts
          .map((part) => () => asBoolean(part)(properties))
          .reduce((left, right) => () => {
            const first = left();
            if (first === decisive) return decisive;
            const second = right();
            if (second === decisive) return decisive;
            return first === null || second === null ? null : !decisive;
          })(),
    };
  }

  /** What AND, OR and NOT take: conditions, and now and then a property. */
  private operand(depth: number): Part {
    return this.prng.chance(0.1) ? this.property() : this.condition(Math.max(0, depth));
  }

  private negation(depth: number): Part {
    const part = this.operand(depth - 1);
    return {
      text: `${this.word('NOT', true)}${this.nested(part)}`,
      kind: 'condition',
      value: (properties) => {
        const value = asBoolean(part)(properties);
        return value === null ? null : !value;
      },
    };
  }

  private isNull(depth: number): Part {
    const part = this.prng.chance(0.7) ? this.any() : this.condition(depth - 1);
    const isNot = this.prng.chance(0.5);
    return {
      text: `${this.nested(part)}${this.word(isNot ? 'IS NOT NULL' : 'IS NULL').trimEnd()}`,
      kind: 'condition',
      value: (properties) => (part.value(properties) === null) !== isNot,
    };
  }

  private among(): Part {
    const property = this.property();
    const texts = Array.from({ length: 1 + this.prng.integer(6) }, () => pick(this.prng, TEXTS));
    const isNot = this.prng.chance(0.4);
    return {
      text: `${property.text}${this.word(isNot ? 'NOT IN' : 'IN')}(${texts.map(quoted).join(',')})`,
      kind: 'condition',
      value: (properties) => {
        const value = property.value(properties);
        return value === null ? null : texts.includes(value as string) !== isNot;
      },
    };
  }

  private search(depth: number): Part {
    const part = depth > 0 && this.prng.chance(0.2) ? this.condition(depth - 1) : this.any();
    const how = pick(this.prng, ['CONTAINS', 'STARTSWITH', 'ENDSWITH'] as const);
    const text = pick(this.prng, TEXTS);
    const isNot = this.prng.chance(0.4);
    return {
      text: `${this.nested(part)}${this.word(isNot ? `NOT ${how}` : how)}${quoted(text)}`,
      kind: 'condition',
      value: (properties) => {
        // Java does not even look at the left side then.
        if (text === '') return false;
        const value = part.value(properties);
        if (typeof value !== 'string') return false;
        const at = how === 'ENDSWITH' ? value.lastIndexOf(text) : value.indexOf(text);
        const isFound =
          at >= 0 &&
          (how === 'CONTAINS' || at === (how === 'STARTSWITH' ? 0 : value.length - text.length));
        return isFound !== isNot;
      },
    };
  }

  private between(): Part {
    const [left, low, high] = [this.ordered(), this.ordered(), this.ordered()];
    const isNot = this.prng.chance(0.4);
    const isFalling =
      low.kind === 'number' &&
      high.kind === 'number' &&
      javaCompare(low.value(NOTHING) as JavaNumber, high.value(NOTHING) as JavaNumber) > 0;
    if (isFalling && !isNot) return this.between();
    const [first, second] = isNot ? (['<', '>'] as const) : (['>=', '<='] as const);
    return {
      text: `${left.text}${this.word(isNot ? 'NOT BETWEEN' : 'BETWEEN')}${low.text}${this.word('AND')}${high.text}`,
      kind: 'condition',
      value: (properties) => {
        const one = order(left, first, low)(properties);
        if (one === isNot) return isNot;
        const two = order(left, second, high)(properties);
        if (two === isNot) return isNot;
        return one === null || two === null ? null : !isNot;
      },
    };
  }

  private comparison(depth: number): Part {
    const sign = pick(this.prng, ['=', '<>', '<', '<=', '>', '>='] as const);
    if (sign !== '=' && sign !== '<>') {
      const [left, right] = [this.ordered(), this.ordered()];
      return {
        text: `${left.text}${this.space()}${sign}${this.space()}${right.text}`,
        kind: 'condition',
        value: order(left, sign, right),
      };
    }
    const side = (): Part =>
      depth > 0 && this.prng.chance(0.15) ? this.condition(depth - 1) : this.any();
    const [left, right] = [side(), side()];
    const isRefused =
      isNullConstant(left) ||
      isNullConstant(right) ||
      (left.kind === 'constant' && (right.kind === 'text' || right.kind === 'number'));
    if (isRefused) return this.comparison(depth);
    return {
      text: `${this.nested(left)}${this.space()}${sign}${this.space()}${this.nested(right)}`,
      kind: 'condition',
      value: (properties) => {
        const value = equal(left.value(properties), right.value(properties));
        return value === null ? null : value === (sign === '=');
      },
    };
  }

  private any(): Part {
    const { prng } = this;
    if (prng.chance(0.5)) return this.property();
    if (prng.chance(0.4)) return this.literalText();
    return prng.chance(0.2) ? this.constant() : this.number();
  }

  /** What may stand beside < and >. */
  private ordered(): Part {
    return this.prng.chance(0.55) ? this.property() : this.number();
  }

  private property(): Part {
    const name = pick(this.prng, NAMES);
    const text = this.prng.chance(0.1) ? `(${name})` : this.prng.chance(0.05) ? `+${name}` : name;
    return { text, kind: 'property', value: (properties) => properties.get(name) ?? null };
  }

  private literalText(): Part {
    const text = pick(this.prng, TEXTS);
    return { text: quoted(text), kind: 'text', value: () => text };
  }

  private constant(): Part {
    const [word, value] = pick(this.prng, [
      ['TRUE', true],
      ['FALSE', false],
      ['NULL', null],
    ] as const);
    return { text: this.word(word).trim(), kind: 'constant', value: () => value };
  }

  private number(): Part {
    const { prng } = this;
    const digits = pick(prng, prng.chance(0.6) ? INTEGERS : DOUBLES);
    const number: JavaNumber = INTEGERS.includes(digits)
      ? integer(BigInt(digits.replace(/l$/i, '')))
      : { type: 'Double', number: Number(digits) };
    if (prng.chance(0.7)) return { text: digits, kind: 'number', value: () => number };
    if (prng.chance(0.1)) {
      const part = prng.chance(0.5) ? this.property() : this.literalText();
      return { text: `-${part.text}`, kind: 'nothing', value: () => null };
    }
    return { text: `- ${digits}`, kind: 'signed', value: () => javaNegate(number) };
  }

  private nested(part: Part): string {
    return part.kind === 'condition' || this.prng.chance(0.05) ? `(${part.text})` : part.text;
  }

  /** A word of the language in any case, with the blanks it needs. */
  private word(word: string, isFirst = false): string {
    const cased = this.prng.chance(0.8)
      ? word
      : [...word].map((c) => (this.prng.chance(0.5) ? c.toLowerCase() : c)).join('');
    const spaced = cased.replace(' ', this.prng.chance(0.9) ? ' ' : '\n/* * */\t');
    return isFirst ? `${spaced} ` : ` ${spaced} `;
  }

  private space(): string {
    return pick(this.prng, ['', ' ', '  ', '\t']);
  }
}

function pick<Item>(prng: Prng, items: readonly Item[]): Item {
  return items[prng.integer(items.length)] as Item;
}

const NOTHING: Properties = new Map();

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function isNullConstant(part: Part): boolean {
  return part.kind === 'constant' && part.value(NOTHING) === null;
}

function asBoolean(part: Part): (properties: Properties) => boolean | null {
  return (properties) => {
    const value = part.value(properties);
    return value === null || typeof value === 'boolean' ? value : false;
  };
}

function order(left: Part, sign: CompareSign, right: Part) {
  return (properties: Properties): boolean | null => {
    const [a, b] = [left.value(properties), right.value(properties)];
    if (a === null || b === null) return null;
    const isText = typeof a === 'string' && typeof b === 'string';
    const result = isText
      ? javaCompare(javaRead(a, 'Double'), javaRead(b, 'Double'))
      : javaCompare(...alike(a, b));
    if (sign === '<') return result < 0;
    if (sign === '<=') return result <= 0;
    return sign === '>' ? result > 0 : result >= 0;
  };
}
