// SPDX-License-Identifier: Apache-2.0
// Random virtual services and real servers for the oracle, and random changes of them while traffic flows. Keeps account
// of what there is, so that most commands make sense; the others show what is refused.

import type { Family } from '../../src/packet/address.ts';
import type { Random } from '../support/random.ts';
import type { MarkRule, OracleProtocol, Step } from './scenario.ts';
import { SERVERS, serverAddress, VIRTUALS, virtualAddress } from './world.ts';

/** twos is random, and not in the kernel that the oracle runs. */
const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'lblc', 'lblcr', 'dh', 'sh', 'sed', 'nq', 'fo', 'ovf', 'mh'];
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  sh: ['sh-fallback', 'sh-port'],
  mh: ['mh-fallback', 'mh-port'],
};
/** Settings that may change at any time, with their values. */
const SYSCTLS: Readonly<Record<string, readonly number[]>> = {
  expire_nodest_conn: [0, 1],
  expire_quiescent_template: [0, 1],
  conn_reuse_mode: [0, 1, 2, 3],
  sloppy_tcp: [0, 1],
  sloppy_sctp: [0, 1],
  secure_tcp: [0, 3],
  drop_packet: [0, 3],
  am_droprate: [2, 5, 10],
  nat_icmp_send: [0, 1],
  cache_bypass: [0, 1],
};

export interface GeneratedService {
  /** As ipvsadm names it: `-t 10.0.0.1:80`, `-f 7 -6`. */
  readonly name: string;
  readonly family: Family;
  readonly protocol: OracleProtocol;
  readonly virtual: string;
  readonly port: number;
  readonly marks: readonly MarkRule[];
  /** Numbers of the servers in it, with their ports. */
  readonly servers: Map<number, number>;
  /** `-x` and `-y` of each server by its number. */
  readonly thresholds: readonly string[];
  /**
   * `-m` or `-g` of each server. They stay: connections of both ways to one server share its route in the kernel, so that
   * after a change it sends packets of the one by the route of the other, into nowhere.
   */
  readonly methods: readonly string[];
  isThere: boolean;
}

export interface Plan {
  readonly services: readonly GeneratedService[];
  /** Configures them. */
  readonly steps: readonly Step[];
}

export function firstConfiguration(random: Random): Plan {
  const services: GeneratedService[] = [];
  const count = 1 + random.below(4);
  for (let i = 0; i < count; i++) services.push(newService(random, i));
  const steps: Step[] = [];
  for (let left = random.below(4); left > 0; left--) steps.push(sysctl(random));
  if (random.chance(0.5)) steps.push(command(timeouts(random)));
  for (const service of services) {
    steps.push(command(addService(random, service)));
    const servers = random.chance(0.05) ? 0 : 1 + random.below(5);
    for (let i = 0; i < servers; i++) steps.push(command(addServer(random, service)));
  }
  return { services, steps };
}

/** A change of the configuration in mid-stream. */
export function editOf(random: Random, plan: Plan): Step[] {
  const service = random.pick(plan.services);
  const dice = random.below(100);
  if (dice < 30) return [command(editServer(random, service))];
  if (dice < 45) return [command(deleteServer(random, service))];
  if (dice < 62) return [command(addServer(random, service))];
  if (dice < 75) return [command(`-E ${service.name} ${serviceOptions(random, service)}`)];
  if (dice < 80) {
    service.isThere = !service.isThere;
    // A server that comes back to another service begins at zero too.
    if (service.isThere) return [settle(), command(addService(random, service)), command(addServer(random, service))];
    service.servers.clear();
    return [command(`-D ${service.name}`)];
  }
  if (dice < 84) return [command(timeouts(random))];
  // The kernel takes for zero what it has looked at last, every two seconds.
  if (dice < 86) return [settle(), command(random.chance(0.5) ? '-Z' : `-Z ${service.name}`)];
  return [sysctl(random)];
}

function newService(random: Random, index: number): GeneratedService {
  const family: Family = random.chance(0.7) ? 4 : 6;
  const virtual = virtualAddress(1 + random.below(VIRTUALS), family);
  const thresholds = Array.from({ length: SERVERS + 1 }, () => newThresholds(random));
  const methods = Array.from({ length: SERVERS + 1 }, () => (random.chance(0.75) ? '-m' : '-g'));
  const common = { family, virtual, servers: new Map<number, number>(), thresholds, methods, isThere: true };
  const dice = random.below(100);
  if (dice < 15) {
    // Below 2^31: ipvsadm sorts larger ones by a rule that is no order.
    const mark = random.pick([7, 8, 200, 0x7ffffff0]);
    const protocols: readonly OracleProtocol[] = ['tcp', 'tcp', 'udp', 'sctp'];
    const marks = Array.from({ length: 1 + random.below(3) }, () => ({
      family,
      protocol: random.pick(protocols),
      virtual: virtualAddress(1 + random.below(VIRTUALS), family),
      virtualPort: 3000 + random.below(5),
      mark: mark + index,
    }));
    const name = `-f ${mark + index}${family === 6 ? ' -6' : ''}`;
    return { ...common, name, protocol: 'tcp', port: 0, marks };
  }
  const protocol: OracleProtocol = dice < 65 ? 'tcp' : dice < 88 ? 'udp' : 'sctp';
  const port = random.chance(0.12) ? 0 : random.chance(0.08) ? 21 : 80 + index;
  const option = protocol === 'tcp' ? '-t' : protocol === 'udp' ? '-u' : '--sctp-service';
  const name = `${option} ${family === 4 ? virtual : `[${virtual}]`}:${port}`;
  return { ...common, name, protocol, port, marks: [] };
}

function addService(random: Random, service: GeneratedService): string {
  return `-A ${service.name} ${serviceOptions(random, service)}`;
}

function serviceOptions(random: Random, service: GeneratedService): string {
  const scheduler = random.pick(SCHEDULERS);
  const words = ['-s', scheduler];
  const flags = (FLAGS[scheduler] ?? []).filter(() => random.chance(0.4));
  if (flags.length > 0) words.push('-b', flags.join(','));
  const isMark = service.marks.length > 0;
  if ((service.port === 0 && !isMark) || random.chance(0.3)) {
    words.push('-p', String(random.pick([9, 10, 11, 30, 60, 100, 360])));
    if (random.chance(0.3)) {
      words.push(
        '-M',
        service.family === 4
          ? random.pick(['255.255.255.0', '255.255.0.0', '255.255.255.252'])
          : random.pick(['64', '48', '127']),
      );
    }
    if (service.protocol === 'udp' && random.chance(0.4)) words.push('--pe', 'sip');
  }
  if (service.protocol === 'udp' && random.chance(0.2)) words.push('-o');
  return words.join(' ');
}

function addServer(random: Random, service: GeneratedService): string {
  const number = 1 + random.below(SERVERS);
  const isMark = service.marks.length > 0;
  const keepsPort = isMark || service.port === 0;
  const port = keepsPort ? 0 : random.chance(0.5) ? service.port : 8000 + random.below(2);
  service.servers.set(number, port);
  return `-a ${service.name} -r ${serverName(service, number, port)} ${serverOptions(random, service, number)}`;
}

function editServer(random: Random, service: GeneratedService): string {
  const [number, port] = anyServer(random, service);
  return `-e ${service.name} -r ${serverName(service, number, port)} ${serverOptions(random, service, number)}`;
}

function deleteServer(random: Random, service: GeneratedService): string {
  const [number, port] = anyServer(random, service);
  service.servers.delete(number);
  return `-d ${service.name} -r ${serverName(service, number, port)}`;
}

function anyServer(random: Random, service: GeneratedService): readonly [number, number] {
  const servers = [...service.servers];
  return servers.length === 0 ? [1, 8000] : random.pick(servers);
}

function serverName({ family }: GeneratedService, number: number, port: number): string {
  const address = serverAddress(number, family);
  return family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}

function serverOptions(random: Random, service: GeneratedService, number: number): string {
  const words = [service.methods[number]];
  const weight = random.chance(0.15)
    ? 0
    : random.chance(0.05)
      ? random.pick([1000, 65536, 2147483647])
      : 1 + random.below(8);
  words.push('-w', String(weight));
  const thresholds = service.thresholds[number];
  if (thresholds !== '') words.push(thresholds);
  return words.join(' ');
}

/**
 * A server keeps its thresholds for as long as it is known: what a change of them does at once is not the same in all
 * kernels of 6.1.
 */
function newThresholds(random: Random): string {
  if (!random.chance(0.2)) return '';
  const upper = 1 + random.below(8);
  return random.chance(0.5) ? `-x ${upper}` : `-x ${upper} -y ${random.below(upper + 1)}`;
}

/** Short ones are over when a scenario has waited for 14 s, and not before a part of it is played. */
function timeouts(random: Random): string {
  const value = (): number => random.pick([0, 9, 10, 11, 100, 900]);
  return `--set ${value()} ${value()} ${value()}`;
}

function sysctl(random: Random): Step {
  const name = random.pick(Object.keys(SYSCTLS));
  return { kind: 'sysctl', name, value: random.pick(SYSCTLS[name]) };
}

/** A pause in which the kernel's counters become what was counted. */
export function settle(): Step {
  return { kind: 'wait', seconds: 2.4 };
}

function command(line: string): Step {
  return { kind: 'ipvsadm', line };
}
