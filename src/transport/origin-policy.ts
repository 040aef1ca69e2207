/**
 * Who may talk to the front door by where they come from. Binding to loopback is not enough, because any web page can
 * reach 127.0.0.1: a browser's Origin must be this host, a loopback page or on the list, and the Host must be a name
 * that cannot have been rebound to this address by somebody's DNS.
 */
import { SluiceError } from '../base/errors.ts';

const HOST = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::(\d{1,5}))?$/;
const LOOPBACK_IPV4 = /^127(\.\d{1,3}){3}$/;

type HostPort = { readonly name: string; readonly port: string };

function parseHost(text: string): HostPort | undefined {
  const match = HOST.exec(text.toLowerCase());
  if (match === null) return undefined;
  const name = match[1] === undefined ? (match[2] as string) : `[${match[1]}]`;
  return { name, port: match[3] ?? '' };
}

function isLoopback(name: string): boolean {
  return (
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === '[::1]' ||
    LOOPBACK_IPV4.test(name)
  );
}

function withDefaultPort(host: HostPort, scheme: string): string {
  const port = host.port === '' ? (scheme === 'https' ? '443' : '80') : host.port;
  return `${host.name}:${port}`;
}

export class OriginPolicy {
  private readonly origins: ReadonlySet<string>;
  private readonly hosts: ReadonlySet<string>;

  constructor(allowedOrigins: readonly string[], allowedHosts: readonly string[]) {
    this.origins = new Set(allowedOrigins.map((origin) => origin.toLowerCase()));
    this.hosts = new Set(allowedHosts.map((host) => host.toLowerCase()));
  }

  /** @returns undefined when it may come in; else FORBIDDEN that names the rule */
  check(origin: string | undefined, host: string | undefined): SluiceError | undefined {
    return this.checkHost(host) ?? this.checkOrigin(origin, host);
  }

  checkHost(host: string | undefined): SluiceError | undefined {
    const parsed = host === undefined ? undefined : parseHost(host);
    const isKnown =
      this.hosts.has('*') ||
      (parsed !== undefined &&
        (isLoopback(parsed.name) ||
          this.hosts.has(parsed.name) ||
          this.hosts.has(`${parsed.name}:${parsed.port}`)));
    if (isKnown) return undefined;
    const shownHost =
      host === undefined ? 'is missing' : `is ${JSON.stringify(host.slice(0, 100))}`;
    return new SluiceError('FORBIDDEN', `the Host header ${shownHost}, which is not allowed`, {
      hint: 'Call it as localhost or 127.0.0.1, or list its host name in allowedHosts.',
    });
  }

  private checkOrigin(
    origin: string | undefined,
    host: string | undefined,
  ): SluiceError | undefined {
    // Only browsers send an origin, and they always do where it matters.
    if (origin === undefined || this.isAllowed(origin.toLowerCase(), host)) return undefined;
    return new SluiceError(
      'FORBIDDEN',
      `pages of the origin ${JSON.stringify(origin.slice(0, 100))} are not allowed`,
      { hint: 'List the origin exactly, scheme and port included, in allowedOrigins.' },
    );
  }

  private isAllowed(origin: string, host: string | undefined): boolean {
    if (this.origins.has(origin) || this.origins.has('*')) return true;
    const match = /^(https?):\/\/([^/]+)$/.exec(origin);
    if (match === null) return false;
    const [, scheme = '', authority = ''] = match;
    const page = parseHost(authority);
    if (page === undefined) return false;
    if (isLoopback(page.name)) return true;
    const own = host === undefined ? undefined : parseHost(host);
    return own !== undefined && withDefaultPort(page, scheme) === withDefaultPort(own, scheme);
  }
}
