/**
 * docs/ERRORS.md from the registry of codes. Run as a program it writes the file; a test compares the file with what
 * would be written, and every code named anywhere in the documents with the registry.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES, type ErrorCode } from '../base/error-codes.ts';
import { projectRoot } from './source-tree.ts';

const HEAD = `# Errors

Every refusal has one of these codes: in JSON and CONTROL frames, in HTTP bodies, in \`--json\` output and as \`SluiceError.code\`.
Match on the code, never on the text: the text names the value that was wrong and may change.

An error also says

- \`retryable\`: may the same request, unchanged, succeed later? With \`retryAfterMs\` when the broker knows how much later.
- \`stored\`: \`false\` is a promise that nothing of the request was stored. \`"unknown"\` means that nobody can tell; send it again
  with the same \`producerId\` and \`sequence\`, and nothing is stored twice.
- \`message\`: what happened, with the value. \`hint\`: what to do next.

Categories: \`warn\` was handled and costs nobody anything, \`error\` is this request's failure, \`fatal\` stops its owner, a shard
or the broker. Numbers are those of the binary dialect; they are never used again.

This page is written by \`npm run error-doc\` from \`src/base/error-codes.ts\`.

| code | number | HTTP | category | retryable | stored |
| --- | --- | --- | --- | --- | --- |
`;

/** The text of docs/ERRORS.md. */
export function errorDocument(): string {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];
  const rows = codes.map((code) => {
    const { number, httpStatus, category, retryable, stored } = ERROR_CODES[code];
    const answer = retryable ? 'yes' : 'no';
    return `| [\`${code}\`](#${code.toLowerCase()}) | ${number} | ${httpStatus} | ${category} | ${answer} | ${stored} |\n`;
  });
  const sections = codes.map((code) => {
    const { sentence, hint } = ERROR_CODES[code];
    return `\n## \`${code}\`\n\n${sentence} ${hint}\n`;
  });
  return [HEAD, ...rows, ...sections].join('');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(projectRoot(), 'docs/ERRORS.md'), errorDocument());
}
