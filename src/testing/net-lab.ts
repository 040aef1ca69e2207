/**
 * Hosts of a small network on this machine: each a network namespace with an address of its own, all joined by a router in one
 * more namespace. What goes from one host to another can be dropped there, one way or both, silently: no connection breaks and
 * nobody is told. Linux, as root, with iproute2's `ip`; nothing outside of the namespaces is touched.
 *
 * ```
 *  ns 10.99.1.2 ── 10.99.1.1 ┐            ┌ 10.99.3.1 ── 10.99.3.2 a-s
 *                            │   router   │
 *  a  10.99.2.2 ── 10.99.2.1 ┘            └ 10.99.4.1 ── 10.99.4.2 client
 * ```
 *
 * @source ip-netns(8), ip-rule(8): type blackhole
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { SluiceError } from '../base/errors.ts';

const HOSTS_MAX = 250;

/** A lab as it is handed to a process inside of it. */
export type LabPlan = { readonly prefix: string; readonly hosts: readonly string[] };

/** Why there can be no lab here; undefined when there can. */
export function netLabObstacle(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if (spawnSync('ip', ['-Version'], { stdio: 'ignore' }).error !== undefined)
    return 'the command ip is not installed (package iproute2)';
  const name = `sluice-probe-${process.pid}`;
  const { status, stderr } = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (status !== 0) return `no network namespace can be made here: ${stderr.trim()}`;
  ip('netns', 'del', name);
  return undefined;
}

export class NetLab {
  readonly plan: LabPlan;

  /** A lab that exists. */
  constructor(plan: LabPlan) {
    this.plan = plan;
  }

  /** Makes the namespaces and joins them. */
  static create(hosts: readonly string[]): NetLab {
    if (hosts.length > HOSTS_MAX) throw new SluiceError('INVALID_ARGUMENT', 'too many hosts');
    const lab = new NetLab({ prefix: `sluice-${process.pid}`, hosts });
    try {
      lab.addNamespace(lab.router);
      // A packet whose answer would be dropped is not to be dropped itself.
      lab.setInRouter('net/ipv4/conf/all/rp_filter', '0');
      lab.setInRouter('net/ipv4/conf/default/rp_filter', '0');
      for (const host of hosts) lab.addHost(host);
      lab.setInRouter('net/ipv4/ip_forward', '1');
    } catch (error) {
      lab.remove();
      throw error;
    }
    return lab;
  }

  addressOf(host: string): string {
    return `10.99.${this.numberOf(host)}.2`;
  }

  /** Words in front of a command that is to run on a host. */
  on(host: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.namespaceOf(host)];
  }

  /** From now on nothing that one host sends comes to the other. */
  cut(from: string, to: string): void {
    this.rule('add', from, to);
  }

  heal(from: string, to: string): void {
    this.rule('del', from, to);
  }

  /** Takes everything away; to be called when no process is left in it. */
  remove(): void {
    for (const name of [...this.plan.hosts.map((host) => this.namespaceOf(host)), this.router])
      spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  }

  private get router(): string {
    return `${this.plan.prefix}-router`;
  }

  private namespaceOf(host: string): string {
    return `${this.plan.prefix}-${host}`;
  }

  private numberOf(host: string): number {
    const index = this.plan.hosts.indexOf(host);
    if (index < 0) throw new SluiceError('INVALID_ARGUMENT', `there is no host ${host}`);
    return index + 1;
  }

  private addNamespace(name: string): void {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }

  private addHost(host: string): void {
    const { router } = this;
    const name = this.namespaceOf(host);
    const number = this.numberOf(host);
    const port = `host${number}`;
    const gateway = `10.99.${number}.1`;
    this.addNamespace(name);
    ip(
      ...['-n', router, 'link', 'add', port, 'type', 'veth'],
      ...['peer', 'name', 'eth0', 'netns', name],
    );
    ip('-n', router, 'addr', 'add', `${gateway}/24`, 'dev', port);
    ip('-n', router, 'link', 'set', port, 'up');
    ip('-n', name, 'addr', 'add', `${this.addressOf(host)}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    ip('-n', name, 'route', 'add', 'default', 'via', gateway);
  }

  private rule(what: 'add' | 'del', from: string, to: string): void {
    const between = ['from', this.addressOf(from), 'to', this.addressOf(to)];
    ip('-n', this.router, 'rule', what, ...between, 'blackhole');
  }

  private setInRouter(path: string, value: string): void {
    const script = `echo ${value} > /proc/sys/${path}`;
    ip('netns', 'exec', this.router, 'sh', '-c', script);
  }
}

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}
