/**
 * Keeps this broker registered with its NameServers: connections and timers around `registration-core.ts`. It never holds up
 * a start or a request: without a NameServer that answers, the broker serves whoever finds it. Main thread.
 */
import { type CancelTimer, startTimer } from '../base/clock.ts';
import { toSluiceError } from '../base/errors.ts';
import { REMOTING_FRAME_BYTES_MAX, TCP_SEND_BUFFER_BYTES_MAX } from '../base/limits.ts';
import type { Logger } from '../base/log-sink.ts';
import { systemPrng } from '../base/prng.ts';
import { REMOTING_FRAMES } from '../protocol/remoting/frame-layout.ts';
import type { TcpConnection, TcpHandler } from '../transport/tcp.ts';
import { connectTcp } from '../transport/tcp-open.ts';
import {
  RegistrationCore,
  type RegistrationCoreOptions,
  type RegistrationNews,
  type RegistrationStatus,
} from './registration-core.ts';

import { type FactsOptions, RegistrationFactsSource } from './registration-facts.ts';

const CONNECT_TIMEOUT_MS = 3000;
/** Milliseconds that a leaving broker waits for answers. */
const LEAVE_MS_MAX = 1000;
/** An answer has the queues of all ordered topics; larger than the largest frame it cannot be. */
const PARTIAL_BYTES_MAX: number = REMOTING_FRAME_BYTES_MAX;
/** A connection is silent for a period; longer than this, and the next registration fails with it. */
const IDLE_TIMEOUT_MS = 3_600_000;
/** Milliseconds between two looks while something is due that an event will end. */
const DELAY_MS_MIN = 1;

export type RouteRegistrationOptions = Omit<RegistrationCoreOptions, 'dial'> & {
  /** The facts are others from here on. */
  readonly onChanged: () => void;
};

export class RouteRegistration {
  private readonly core: RegistrationCore;
  private readonly addresses: readonly string[];
  private readonly onChanged: () => void;
  /** The connection that counts, by NameServer; late events of an older one are nobody's. */
  private readonly connections: (TcpConnection | undefined)[] = [];
  private cancelWork: CancelTimer = () => {};
  private isClosed = false;
  private onGone: () => void = () => {};
  /** Who waits for NameServers to know of a change. */
  private readonly waiting = new Set<() => void>();

  constructor(options: RouteRegistrationOptions) {
    this.addresses = options.addresses;
    this.onChanged = options.onChanged;
    this.core = new RegistrationCore({ ...options, dial: (index) => void this.dial(index) });
  }

  start(): void {
    this.work();
  }

  /** Topics, role or addresses changed. */
  changed(): void {
    this.onChanged();
    this.core.changed();
    this.schedule();
  }

  status(): readonly RegistrationStatus[] {
    return this.core.status();
  }

  /** Resolves when the NameServers know of every change until now, or after `timeoutMs`: one that does not answer holds up nobody. */
  async known(timeoutMs: number): Promise<void> {
    const change = this.core.lastChange;
    if (this.isClosed || this.core.knows(change)) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        this.waiting.delete(look);
        cancel();
        resolve();
      };
      const look = (): void => {
        if (this.isClosed || this.core.knows(change)) end();
      };
      const cancel = startTimer(timeoutMs, end);
      this.waiting.add(look);
    });
  }

  /** Tells the NameServers that this broker goes, and waits a second at most for their answers. */
  async leave(): Promise<void> {
    if (this.isClosed || this.core.leave() === 0) return;
    const cancel = startTimer(LEAVE_MS_MAX, () => this.onGone());
    await new Promise<void>((resolve) => {
      this.onGone = resolve;
      if (this.core.isGone) resolve();
    });
    cancel();
  }

  close(): void {
    this.isClosed = true;
    this.cancelWork();
    this.core.close();
    this.onGone();
    this.tellWaiting();
  }

  private tellWaiting(): void {
    for (const look of [...this.waiting]) look();
  }

  private work(): void {
    this.core.doWork();
    if (this.waiting.size > 0) this.tellWaiting();
    this.schedule();
  }

  private schedule(): void {
    this.cancelWork();
    if (this.isClosed) return;
    const delayMs = this.core.msUntilDue();
    if (!Number.isFinite(delayMs)) return;
    this.cancelWork = startTimer(Math.max(DELAY_MS_MIN, delayMs), () => this.work());
  }

  private async dial(index: number): Promise<void> {
    const { host, port } = splitAddress(this.addresses[index] as string);
    try {
      await connectTcp({
        ...{ host, port, connectTimeoutMs: CONNECT_TIMEOUT_MS, rule: REMOTING_FRAMES },
        handler: this.handlerOf(index),
        limits: {
          idleTimeoutMs: IDLE_TIMEOUT_MS,
          partialBytesMax: PARTIAL_BYTES_MAX,
          sendBufferBytesMax: TCP_SEND_BUFFER_BYTES_MAX,
        },
      });
    } catch (error) {
      const { cause, message } = toSluiceError(error);
      this.core.failed(index, cause instanceof Error ? cause.message : message);
      this.schedule();
    }
  }

  private handlerOf(index: number): TcpHandler {
    const isCurrent = (connection: TcpConnection): boolean =>
      this.connections[index] === connection && !this.isClosed;
    return {
      open: (connection) => {
        if (this.isClosed) {
          connection.close('not-needed');
          return;
        }
        this.connections[index] = connection;
        this.core.opened(index, {
          send: (bytes) => connection.send(bytes),
          close: () => {
            if (this.connections[index] === connection) this.connections[index] = undefined;
            connection.end('not-needed');
          },
        });
        this.schedule();
      },
      frame: (connection, frame) => {
        if (!isCurrent(connection)) return;
        this.core.received(index, frame);
        this.afterEvent();
      },
      drained: () => {},
      closed: (connection, reason) => {
        if (!isCurrent(connection)) return;
        this.connections[index] = undefined;
        this.core.failed(index, `the connection is over: ${reason}`);
        this.afterEvent();
      },
    };
  }

  private afterEvent(): void {
    if (this.core.isGone) this.onGone();
    this.tellWaiting();
    this.schedule();
  }
}

export type RegisterRoutesOptions = FactsOptions & {
  readonly log: Logger;
  /** `host:port` of each NameServer. */
  readonly addresses: readonly string[];
  /** What NameServers say of the reign; the same may come again and again. */
  readonly onNews: (news: RegistrationNews) => void;
};

/** The addresses in a `namesrvAddr`. */
export function nameServersIn(namesrvAddr: string | undefined): readonly string[] {
  return [...new Set((namesrvAddr ?? '').split(';').filter((one) => one !== ''))];
}

/** How it stands with all NameServers, for `/readyz`: who is not registered serves all the same. */
export function registrationFacts(statuses: readonly RegistrationStatus[]): {
  readonly namesrv?: { readonly [address: string]: string };
} {
  if (statuses.length === 0) return {};
  const facts = statuses.map(({ address, registered, failure }): [string, string] => [
    address,
    registered ? 'registered' : `not registered: ${failure ?? 'not answered yet'}`,
  ]);
  return { namesrv: Object.fromEntries(facts) };
}

/** Why this broker is not ready although it could serve: another one has its place at a NameServer. */
export function takenReasons(statuses: readonly RegistrationStatus[]): readonly string[] {
  return statuses
    .filter(({ isTaken }) => isTaken)
    .map(({ address, failure }) => `NameServer ${address} does not take it: ${failure}`);
}

/** Registers a broker that takes requests, and goes on doing so. */
export function registerRoutes(options: RegisterRoutesOptions): RouteRegistration {
  const { addresses, config, clock, log, onNews } = options;
  const source = new RegistrationFactsSource(options);
  const registration = new RouteRegistration({
    ...{ addresses, periodMs: config.registerNameServerPeriod, token: config.registrationToken },
    ...{ clock, prng: systemPrng(), log, onNews },
    facts: () => source.facts(),
    onChanged: () => source.topicsChanged(),
    onTaken: (brokerId) => source.idTaken(brokerId),
  });
  registration.start();
  return registration;
}

/** `host:port`, an IPv6 address in brackets. */
function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(address.slice(colon + 1)) };
}
