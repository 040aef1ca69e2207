/** What a person sees when a broker is up: where it is, what it promises, and three things to try. Pure. */
import type { BrokerReady } from '../broker/create-broker.ts';
import { VERSION } from '../broker/version.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import { DEFAULT_URL } from './target.ts';
import { paint } from './terminal.ts';

const FLUSH_SENTENCES: Readonly<Record<BrokerReady['flush'], string>> = {
  sync: 'sync: what is acknowledged is on the disk',
  async:
    'async: what is acknowledged is with the operating system; a power cut may take the newest of it',
};
const MEMORY_SENTENCE = 'memory: nothing survives the end of this process';

export function bannerText(
  ready: BrokerReady,
  config: BrokerConfig,
  namesrv: string | undefined,
): string {
  const { ws, http, remoting, dataDir, transport, transportReason, flush, shards } = ready;
  const title = (text: string): string => paint(process.stdout, 'bold', text);
  const label = (text: string): string => paint(process.stdout, 'dim', text.padEnd(10));
  const url = ws === DEFAULT_URL ? '' : ` --url ${ws}`;
  const hasToken = config.authToken !== undefined;
  const bearer = hasToken ? ' -H "authorization: Bearer $SLUICE_TOKEN"' : '';
  const threads = `${shards} ${shards === 1 ? 'shard' : 'shards'}`;
  return [
    '',
    title(`SluiceMQ ${VERSION} is up`),
    `  ${label('listens')}${ws} and ${http}`,
    ...(remoting === null ? [] : [`  ${label('rocketmq')}${remoting}`]),
    ...(namesrv === undefined ? [] : [`  ${label('namesrv')}${namesrv}`]),
    `  ${label('data')}${dataDir === null ? MEMORY_SENTENCE : `${dataDir}, ${threads}`}`,
    `  ${label('flush')}${dataDir === null ? 'none' : FLUSH_SENTENCES[flush]}`,
    `  ${label('transport')}${transport}: ${transportReason}`,
    '',
    title(`Try next, in another terminal${hasToken ? ' (with the token in SLUICE_TOKEN)' : ''}:`),
    `  echo '{"total":12}' | sluice produce orders${url}`,
    `  sluice consume orders --group billing --from earliest${url}`,
    `  curl${bearer} -H 'content-type: application/json' -d '{"body":{"total":13}}' ${http}/v1/topics/orders/messages`,
    '',
    'Ctrl-C finishes what is under way and stops.',
  ].join('\n');
}
