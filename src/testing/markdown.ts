/** What a document says beside its prose: headings, fenced blocks, links, code spans, each with its line. For the tests of docs. */

export type Heading = { readonly level: number; readonly text: string; readonly line: number };
/** `line` is that of the first line inside the fence. */
export type Block = { readonly language: string; readonly text: string; readonly line: number };
export type Mention = { readonly text: string; readonly line: number };

export type Markdown = {
  readonly path: string;
  readonly headings: readonly Heading[];
  readonly blocks: readonly Block[];
  /** Targets of links, as written. */
  readonly links: readonly Mention[];
  /** What stands between backticks in the prose. */
  readonly codeSpans: readonly Mention[];
  /** Lines outside of fenced blocks. */
  readonly prose: readonly Mention[];
};

const FENCE = /^\s*```(\S*)/;
const HEADING = /^(#{1,6}) (.*)$/;
const LINK = /\]\(([^)\s]+)\)/g;
const CODE_SPAN = /`([^`]+)`/g;

/** @param path - from the project's root, for messages */
export function parseMarkdown(path: string, text: string): Markdown {
  const headings: Heading[] = [];
  const blocks: Block[] = [];
  const prose: Mention[] = [];
  let open: { language: string; lines: string[]; line: number } | undefined;
  for (const [index, content] of text.split('\n').entries()) {
    const line = index + 1;
    const fence = FENCE.exec(content);
    if (open !== undefined) {
      if (fence === null) open.lines.push(content);
      else {
        blocks.push({ language: open.language, text: open.lines.join('\n'), line: open.line });
        open = undefined;
      }
      continue;
    }
    if (fence !== null) {
      open = { language: fence[1] ?? '', lines: [], line: line + 1 };
      continue;
    }
    const heading = HEADING.exec(content);
    if (heading !== null)
      headings.push({ level: (heading[1] ?? '').length, text: heading[2] ?? '', line });
    prose.push({ text: content, line });
  }
  const found = (pattern: RegExp, mention: Mention): Mention[] =>
    [...mention.text.matchAll(pattern)].map((match) => ({
      text: match[1] ?? '',
      line: mention.line,
    }));
  const withoutCode = prose.map(({ text: content, line }) => ({
    text: content.replace(CODE_SPAN, ''),
    line,
  }));
  return {
    path,
    headings,
    blocks,
    links: withoutCode.flatMap((mention) => found(LINK, mention)),
    codeSpans: prose.flatMap((mention) => found(CODE_SPAN, mention)),
    prose,
  };
}

/** The anchor that GitHub gives a heading. */
export function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '')
    .replaceAll(' ', '-');
}

/** Rows of a table whose first cell is a code span: its cells, trimmed. */
export function tableRows(document: Markdown): readonly (readonly string[])[] {
  return document.prose
    .filter(({ text }) => /^\| `/.test(text))
    .map(({ text }) =>
      text
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}
