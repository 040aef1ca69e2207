/**
 * Exactly three rules, the ones that need types: a lost promise in flush or front-door code is a lost message, and a
 * closed set must be handled whole. Everything else about style is Biome's (biome.json) or test/tidy.test.ts's.
 */
import tseslint from 'typescript-eslint';

export default [
  { ignores: ['dist/**', '.build/**', 'coverage/**', '**/*.js'] },
  {
    files: [
      'src/**/*.ts',
      'src/**/*.tsx',
      'test/**/*.ts',
      'native-free-bench/**/*.ts',
      'examples/**/*.ts',
    ],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    // Suppressions for rules of other tools are theirs to judge.
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          // The runner of node:test waits for these by itself.
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'describe', 'it', 'suite'] },
          ],
        },
      ],
      '@typescript-eslint/no-misused-promises': 'error',
      // Names every member even beside a default: the default is unreachable(value).
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
];
