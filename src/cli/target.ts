/** Which broker a command talks to, and with which token: options over environment over the default. */
import type { Command } from 'commander';
import { httpUrlOf, webSocketUrls } from '../client/servers.ts';
import { asUsage } from './report-error.ts';

export const DEFAULT_URL = 'ws://127.0.0.1:8880';

/** Options as commander gives them. */
export type TargetOptions = { readonly url?: string; readonly token?: string };

export type Target = {
  /** Of WebSocket, with its path. */
  readonly ws: string;
  /** Base of HTTP on the same port, without a slash at its end. */
  readonly http: string;
  readonly token: string | undefined;
};

/** Of a command that asks one broker and can answer in JSON. */
export type AskOptions = TargetOptions & { readonly json?: boolean };

/** @param lines - what a line of the JSON is, where there are several */
export function addAskOptions(command: Command, lines?: string): Command {
  const text = lines === undefined ? 'print JSON' : `print JSON, a ${lines} a line`;
  return addTargetOptions(command).option('--json', text);
}

export function addTargetOptions(command: Command): Command {
  return command
    .option(
      '--url <url>',
      `address of the broker, ws:// or http:// (SLUICE_SERVERS; default ${DEFAULT_URL})`,
    )
    .option(
      '--token <token>',
      'its authToken; better in SLUICE_TOKEN, where no process list shows it',
    );
}

/** @throws UsageError for what is no address */
export function targetOf(options: TargetOptions): Target {
  const { env } = process;
  // Several servers are a client's to try in turn; a hand tool takes the first.
  const given = options.url ?? env['SLUICE_SERVERS']?.split(/[\s,]+/).find((part) => part !== '');
  const [ws] = asUsage(() => webSocketUrls(given ?? DEFAULT_URL));
  const url = ws ?? DEFAULT_URL;
  // SLUICE_AUTH_TOKEN is the broker's own setting: on one machine both ends have it.
  const token = options.token ?? env['SLUICE_TOKEN'] ?? env['SLUICE_AUTH_TOKEN'];
  return { ws: url, http: httpUrlOf(url), token: token === '' ? undefined : token };
}
