/** Asks NameServers, any of which is enough: one after the other until one answers. Browser-safe. */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { type RouteBroker, readCluster, readRefusal, readRoute } from './route-answer.ts';
import type { ClientRuntime } from './runtime.ts';

const DEFAULT_PORT = '9876';
const NAME_SERVERS_MAX = 64;

/** An answer and who gave it. */
export type FromNameServer<Value> = { readonly value: Value; readonly url: string };

/**
 * The base URLs of NameServers: `host:9876`, `host`, `http(s)://…`; several in one text with `;` between.
 *
 * @throws INVALID_ARGUMENT
 */
export function nameServerUrls(nameServers: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(nameServers) ? nameServers : [nameServers];
  const parts = list.flatMap((one) => (typeof one === 'string' ? one.split(';') : [one]));
  const given = parts.filter((one) => one !== '');
  if (given.length === 0 || given.length > NAME_SERVERS_MAX)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `nameServers has ${given.length} addresses; 1 to ${NAME_SERVERS_MAX} are allowed`,
    );
  return [...new Set(given.map(nameServerUrl))];
}

function nameServerUrl(nameServer: unknown): string {
  const text = typeof nameServer === 'string' ? nameServer.trim() : '';
  const full = text.includes('://') ? text : `http://${text}`;
  const isAddress = text !== '' && URL.canParse(full) && /^https?:$/.test(new URL(full).protocol);
  if (!isAddress)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `the NameServer ${JSON.stringify(nameServer)} is no address`,
      { hint: 'Give it as host:9876, or as http://host:9876.' },
    );
  const url = new URL(full);
  if (url.port === '' && !text.includes('://')) url.port = DEFAULT_PORT;
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}

export class NameServers {
  private readonly runtime: ClientRuntime;
  private readonly urls: readonly string[];
  private readonly timeoutMs: number;
  /** The one that answered last: it is asked first. */
  private firstIndex: number;

  constructor(runtime: ClientRuntime, urls: readonly string[], timeoutMs: number) {
    this.runtime = runtime;
    this.urls = urls;
    this.timeoutMs = timeoutMs;
    this.firstIndex = runtime.prng.integer(urls.length);
  }

  /** The one that is asked first. */
  get url(): string {
    return this.urls[this.firstIndex] as string;
  }

  /**
   * The brokers of a topic.
   *
   * @throws TOPIC_NOT_FOUND when all that answer say so; DISCONNECTED when none answers
   */
  route(topic: string): Promise<FromNameServer<readonly RouteBroker[]>> {
    return this.ask(`/v1/route?topic=${encodeURIComponent(topic)}`, readRoute);
  }

  /** All brokers. @throws DISCONNECTED */
  cluster(): Promise<FromNameServer<readonly RouteBroker[]>> {
    return this.ask('/v1/cluster', readCluster);
  }

  private async ask<Value>(
    path: string,
    read: (text: string) => Value,
  ): Promise<FromNameServer<Value>> {
    const count = this.urls.length;
    const failures: string[] = [];
    let refusal: SluiceError | undefined;
    const first = this.firstIndex;
    for (let step = 0; step < count; step += 1) {
      const index = (first + step) % count;
      const url = this.urls[index] as string;
      try {
        const { status, text } = await this.runtime.httpGet(url + path, this.timeoutMs);
        if (status === 200) {
          const value = read(text);
          this.firstIndex = index;
          return { value, url };
        }
        const error = readRefusal(text);
        // One that was just started knows less than the others.
        if (error?.code === 'TOPIC_NOT_FOUND') refusal ??= error;
        else
          failures.push(
            `${url} answered ${status}${error === undefined ? '' : `: ${error.message}`}`,
          );
      } catch (error) {
        failures.push(`${url}: ${reasonOf(error)}`);
      }
    }
    if (refusal !== undefined) throw refusal;
    throw new SluiceError('DISCONNECTED', `no NameServer answers: ${failures.join('; ')}`, {
      hint: 'Are these the ports (by default 9876) of running NameServers? Check with: sluice doctor --namesrv ADDRESS',
    });
  }
}

/** "fetch failed" says nothing; what stands behind it does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return toSluiceError(cause).message;
}
