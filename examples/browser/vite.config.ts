/** Builds the page from the sources of this repository; in a project of yours `sluicemq/client` needs no alias. */
import { fileURLToPath } from 'node:url';
import type { UserConfig } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const config: UserConfig = {
  root: here('.'),
  resolve: { alias: { 'sluicemq/client': here('../../src/client/index.ts') } },
  build: { target: 'es2022' },
};

export default config;
