// SPDX-License-Identifier: Apache-2.0
// Random services whose servers are reached in every way there is, for the oracle's scenarios about forwarding. How a server
// is reached stays within a scenario: in the kernel all connections to it share a route.

import type { Family } from '../../src/packet/address.ts';
import type { Random } from '../support/random.ts';
import type { OracleProtocol, Step } from './scenario.ts';
import { GUE_PORTS } from './tunnel-frame.ts';
import { LOCAL_SERVER, SERVERS, serverAddress, VIRTUALS, virtualAddress } from './world.ts';

/** The same for all packets of a connection, and different ones for different. */
const SCHEDULERS = ['rr', 'wrr', 'lc', 'sh -b sh-port', 'mh -b mh-port'];

/** How a server is reached in this scenario, by its number. */
interface Way {
  readonly options: string;
  /** The server's address is of the other family than its services. */
  readonly isMixed: boolean;
}

export interface ForwardService {
  readonly name: string;
  readonly family: Family;
  readonly protocol: OracleProtocol;
  readonly virtual: string;
  readonly port: number;
  /** Ports of the servers in it, by number. */
  readonly servers: Map<number, number>;
}

export interface ForwardPlan {
  readonly services: readonly ForwardService[];
  readonly ways: readonly Way[];
  readonly pmtuDisc: boolean;
  readonly hasLocalServers: boolean;
  readonly steps: readonly Step[];
}

export function forwardConfiguration(random: Random): ForwardPlan {
  const hasLocalServers = random.chance(0.25);
  const ways = Array.from({ length: LOCAL_SERVER + 1 }, () => newWay(random));
  const services = Array.from({ length: 1 + random.below(3) }, (_, i) => newService(random, i));
  const pmtuDisc = random.chance(0.75);
  const plan: ForwardPlan = { services, ways, pmtuDisc, hasLocalServers, steps: [] };
  const steps: Step[] = [{ kind: 'sysctl', name: 'pmtu_disc', value: pmtuDisc ? 1 : 0 }];
  if (random.chance(0.2)) steps.push({ kind: 'sysctl', name: 'nat_icmp_send', value: 1 });
  for (const service of services) {
    steps.push(command(`-A ${service.name} ${serviceOptions(random, service)}`));
    if (hasLocalServers) steps.push(command(addServer(random, plan, service, LOCAL_SERVER)));
    for (let left = 1 + random.below(3); left > 0; left--) steps.push(command(addServer(random, plan, service)));
  }
  return { ...plan, steps };
}

/** A change of the configuration in mid-stream. */
export function forwardEdit(random: Random, plan: ForwardPlan): Step[] {
  const service = random.pick(plan.services);
  const dice = random.below(100);
  if (dice < 50) return [command(addServer(random, plan, service))];
  const [number, port] = random.pick([...service.servers]);
  const name = `${service.name} -r ${serverName(service, plan.ways[number], number, port)}`;
  // A stack that does not refuse packets cannot tell that there is no server either.
  const mayLack = !plan.hasLocalServers;
  if (dice < 80 || !mayLack || service.servers.size === 1) {
    const weight = mayLack && random.chance(0.2) ? 0 : 1 + random.below(5);
    return [command(`-e ${name} ${plan.ways[number].options} -w ${weight}`)];
  }
  service.servers.delete(number);
  return [command(`-d ${name}`)];
}

function newWay(random: Random): Way {
  const dice = random.below(100);
  if (dice < 22) return { options: '-m', isMixed: false };
  if (dice < 40) return { options: '-g', isMixed: false };
  return { options: `-i${tunnelOptions(random)}`, isMixed: random.chance(0.3) };
}

function tunnelOptions(random: Random): string {
  switch (random.below(5)) {
    case 0:
      return '';
    case 1:
      return ` --tun-type gue --tun-port ${random.pick(GUE_PORTS)}`;
    case 2:
      return ` --tun-type gue --tun-port ${random.pick(GUE_PORTS)} --tun-csum`;
    case 3:
      return ' --tun-type gre';
    default:
      return ' --tun-type gre --tun-csum';
  }
}

function newService(random: Random, index: number): ForwardService {
  const family: Family = random.chance(0.65) ? 4 : 6;
  const virtual = virtualAddress(1 + random.below(VIRTUALS), family);
  const protocol = random.pick(['tcp', 'tcp', 'udp', 'udp', 'sctp'] as const);
  const port = random.chance(0.1) ? 0 : 80 + index;
  const option = protocol === 'tcp' ? '-t' : protocol === 'udp' ? '-u' : '--sctp-service';
  const name = `${option} ${family === 4 ? virtual : `[${virtual}]`}:${port}`;
  return { name, family, protocol, virtual, port, servers: new Map() };
}

function serviceOptions(random: Random, { port, protocol }: ForwardService): string {
  const words = ['-s', random.pick(SCHEDULERS)];
  if (port === 0 || random.chance(0.15)) words.push('-p', '100');
  if (protocol === 'udp' && random.chance(0.15)) words.push('-o');
  return words.join(' ');
}

function addServer(
  random: Random,
  { ways }: ForwardPlan,
  service: ForwardService,
  number: number = 1 + random.below(SERVERS),
): string {
  const port = service.port === 0 ? 0 : random.chance(0.5) ? service.port : 8000 + random.below(2);
  service.servers.set(number, port);
  const way = ways[number];
  return `-a ${service.name} -r ${serverName(service, way, number, port)} ${way.options} -w ${1 + random.below(5)}`;
}

function serverName({ family }: ForwardService, { isMixed }: Way, number: number, port: number): string {
  const own: Family = isMixed ? (family === 4 ? 6 : 4) : family;
  const address = serverAddress(number, own);
  return own === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}

function command(line: string): Step {
  return { kind: 'ipvsadm', line };
}
