/** API documentation from the public doors; an undocumented export or a broken link fails it. */
import { OptionDefaults } from 'typedoc';

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  entryPoints: ['src/index.ts', 'src/client/index.ts', 'src/client/node.ts'],
  tsconfig: 'tsconfig.json',
  out: '.build/api',
  name: 'SluiceMQ',
  readme: 'README.md',
  excludePrivate: true,
  excludeInternal: true,
  disableSources: true,
  blockTags: [...OptionDefaults.blockTags, '@shape', '@units', '@thread', '@promise', '@source'],
  // Fields explain themselves by name and unit; everything one can call or name must be described.
  requiredToBeDocumented: [
    ...['Class', 'Interface', 'TypeAlias', 'Function', 'Method', 'Accessor', 'Variable'],
  ],
  validation: { notExported: false, invalidLink: true, notDocumented: true },
  treatValidationWarningsAsErrors: true,
  treatWarningsAsErrors: true,
};
