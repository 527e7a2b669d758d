// SPDX-License-Identifier: Apache-2.0
// Listings of services and their servers, byte for byte as ipvsadm 1.31 prints them, blanks at the ends of lines
// included. Pure; execute.ts prints what comes out.

import type { Counters, ForwardingMethod, Rates, ServerSnapshot, ServiceSnapshot } from '../../lvs/model.ts';
import type { ListingFormat, ListingMode } from './command.ts';
import type { Label } from './labels.ts';
import { maskText, protocolOf, schedulerFlagNames } from './service-text.ts';
import { sortServers, sortServices } from './sort.ts';

/** The first line of a listing of everything. */
export function formatVersion(tableSize: number): string {
  return `IP Virtual Server version 1.2.1 (size=${tableSize})\n`;
}

/** Headers and all of `services`. */
export function formatListing(services: readonly ServiceSnapshot[], format: ListingFormat, label: Label): string {
  let text = header(format.mode);
  for (const service of format.sorted ? sortServices(services) : services) {
    text += serviceLine(service, format, label);
    const servers = format.sorted ? sortServers(service.servers) : service.servers;
    for (const server of servers) text += serverLine(server, service, format, label);
  }
  return text;
}

const NAME_WIDTH = 33;
const SERVER_WIDTH = 28;
const NAME_HEADER = 'Prot LocalAddress:Port';
const SERVER_HEADER = '  -> RemoteAddress:Port';

function header(mode: ListingMode): string {
  const first = NAME_HEADER.padEnd(NAME_WIDTH);
  const rightAligned = (names: readonly string[]): string => names.map((name) => ` ${name.padStart(8)}`).join('');
  switch (mode) {
    case 'stats':
      return `${first}${rightAligned(['Conns', 'InPkts', 'OutPkts', 'InBytes', 'OutBytes'])}\n${SERVER_HEADER}\n`;
    case 'rate':
      return `${first}${rightAligned(['CPS', 'InPPS', 'OutPPS', 'InBPS', 'OutBPS'])}\n${SERVER_HEADER}\n`;
    case 'thresholds':
      return `${first} Uthreshold Lthreshold ActiveConn InActConn \n${SERVER_HEADER}\n`;
    case 'persistent-conn':
      return `${first} Weight    PersistConn ActiveConn InActConn \n${SERVER_HEADER}\n`;
    case 'tun-info':
      return `${NAME_HEADER} Scheduler Flags\n${SERVER_HEADER}           Forward TunnelInfo    Weight ActiveConn InActConn\n`;
    case 'default':
      return `${NAME_HEADER} Scheduler Flags\n${SERVER_HEADER}           Forward Weight ActiveConn InActConn\n`;
  }
}

function serviceLine(service: ServiceSnapshot, format: ListingFormat, label: Label): string {
  const name = serviceName(service, label);
  if (format.mode === 'stats') return `${name.padEnd(NAME_WIDTH)}${numbers(service.counters, format.exact)}\n`;
  if (format.mode === 'rate') return `${name.padEnd(NAME_WIDTH)}${numbers(service.rates, format.exact)}\n`;
  let line = `${name} ${service.scheduler}`;
  const flags = schedulerFlagNames(service);
  if (flags.length > 0) line += ` (${flags.join(',')})`;
  if (service.persistence !== undefined) {
    const { timeoutSeconds, engine } = service.persistence;
    line += ` persistent ${timeoutSeconds}`;
    const mask = maskText(service);
    if (mask !== undefined) line += ` mask ${mask}`;
    if (engine !== undefined) line += ` pe ${engine}`;
  }
  if (service.onePacket) line += ' ops';
  return `${line}\n`;
}

function serviceName({ key }: ServiceSnapshot, label: Label): string {
  // Marks above 2^31 are printed as negative numbers.
  if (key.kind === 'fwmark') return `FWM  ${key.mark | 0}${key.family === 6 ? ' IPv6' : ''}`;
  return `${key.protocol.toUpperCase().padEnd(4)} ${label(key, key.protocol)}`;
}

const FORWARD_WORDS: Readonly<Record<ForwardingMethod, string>> = {
  nat: 'Masq',
  fullnat: 'FullNat',
  dr: 'Route',
  tun: 'Tunnel',
  local: 'Local',
};

function serverLine(server: ServerSnapshot, service: ServiceSnapshot, format: ListingFormat, label: Label): string {
  const name = `  -> ${label(server, protocolOf(service.key)).padEnd(SERVER_WIDTH)}`;
  const left = (value: number | string, width: number): string => ` ${String(value).padEnd(width)}`;
  const connections = `${left(server.activeConnections, 10)}${left(server.inactiveConnections, 10)}`;
  switch (format.mode) {
    case 'stats':
      return `${name}${numbers(server.counters, format.exact)}\n`;
    case 'rate': {
      // Only bytes are ever shortened here.
      const { connections, inPackets, outPackets, inBytes, outBytes } = server.rates;
      const packets = [connections, inPackets, outPackets].map((rate) => largeNumber(rate, true)).join('');
      const bytes = [inBytes, outBytes].map((rate) => largeNumber(rate, format.exact)).join('');
      return `${name}${packets}${bytes}\n`;
    }
    case 'thresholds':
      return `${name}${left(server.upperThreshold, 10)}${left(server.lowerThreshold, 10)}${connections}\n`;
    case 'persistent-conn':
      return `${name}${left(server.weight, 9)}${left(server.persistentConnections, 11)}${connections}\n`;
    case 'tun-info': {
      const info = `${left(FORWARD_WORDS[server.method], 7)}${left(tunnelInfo(server), 13)}`;
      return `${name}${info}${left(server.weight, 6)}${connections}\n`;
    }
    case 'default':
      return `${name}${left(FORWARD_WORDS[server.method], 7)}${left(server.weight, 6)}${connections}\n`;
  }
}

function tunnelInfo({ tunnel }: ServerSnapshot): string {
  if (tunnel === undefined) return 'n/a';
  if (tunnel.type === 'ipip') return 'ipip';
  const checksum = { none: '-c', csum: '+c', remcsum: 'r+c' }[tunnel.checksum];
  return tunnel.type === 'gue' ? `gue:${tunnel.port}:${checksum}` : `gre:${checksum}`;
}

function numbers(values: Counters | Rates, exact: boolean): string {
  const { connections, inPackets, outPackets, inBytes, outBytes } = values;
  return [connections, inPackets, outPackets, inBytes, outBytes].map((value) => largeNumber(value, exact)).join('');
}

// deviates: of a server the original cuts connections, packets and rates to 32 bits.
/** A column of nine characters; from 10^8 on thousands, millions and so on, unless all digits are asked for. */
function largeNumber(value: number, exact: boolean): string {
  const whole = Math.floor(value);
  if (exact) return ` ${String(whole).padStart(8)}`;
  if (whole < 1e8) return String(whole).padStart(9);
  const [unit, letter] = whole < 1e9 ? [1e3, 'K'] : whole < 1e11 ? [1e6, 'M'] : whole < 1e14 ? [1e9, 'G'] : [1e12, 'T'];
  return `${String(Math.floor(whole / unit)).padStart(8)}${letter}`;
}
