// SPDX-License-Identifier: Apache-2.0
// Services as the commands that make them (`ipvsadm -S`), in the order of the listing. Pure. As in the original,
// thresholds and timeouts are not saved.

import type { ServerSnapshot, ServiceSnapshot, TunnelOptions } from '../../lvs/model.ts';
import type { Label } from './labels.ts';
import { maskText, protocolOf, schedulerFlagNames } from './service-text.ts';
import { sortServers, sortServices } from './sort.ts';

/** Lines that `ipvsadm -R` reads. */
export function formatSave(services: readonly ServiceSnapshot[], label: Label): string {
  let text = '';
  for (const service of sortServices(services)) {
    const name = serviceOption(service, label);
    text += `-A ${name} -s ${service.scheduler}${serviceOptions(service)}\n`;
    for (const server of sortServers(service.servers)) {
      const address = label(server, protocolOf(service.key));
      text += `-a ${name} -r ${address} ${methodOption(server)} -w ${server.weight}${tunnelOptions(server.tunnel)}\n`;
    }
  }
  return text;
}

function serviceOption({ key }: ServiceSnapshot, label: Label): string {
  // deviates: the original writes marks above 2^31 as negative numbers, which it does not read back
  if (key.kind === 'fwmark') return `-f ${key.mark}${key.family === 6 ? ' -6' : ''}`;
  const option = { tcp: '-t', udp: '-u', sctp: '--sctp-service' }[key.protocol];
  return `${option} ${label(key, key.protocol)}`;
}

function serviceOptions(service: ServiceSnapshot): string {
  let text = '';
  if (service.persistence !== undefined) {
    const { timeoutSeconds, engine } = service.persistence;
    text += ` -p ${timeoutSeconds}`;
    const mask = maskText(service);
    if (mask !== undefined) text += ` -M ${mask}`;
    if (engine !== undefined) text += ` --pe ${engine}`;
  }
  if (service.onePacket) text += ' -o';
  const flags = schedulerFlagNames(service);
  return flags.length > 0 ? `${text} -b ${flags.join(',')}` : text;
}

function methodOption({ method }: ServerSnapshot): string {
  switch (method) {
    case 'nat':
      return '-m';
    case 'fullnat':
      return '--fullnat';
    case 'tun':
      return '-i';
    case 'dr':
    case 'local':
      return '-g';
  }
}

function tunnelOptions(tunnel: TunnelOptions | undefined): string {
  if (tunnel === undefined) return '';
  if (tunnel.type === 'ipip') return ' --tun-type ipip';
  const checksum = { none: '--tun-nocsum', csum: '--tun-csum', remcsum: '--tun-remcsum' }[tunnel.checksum];
  const port = tunnel.type === 'gue' ? ` --tun-port ${tunnel.port}` : '';
  return ` --tun-type ${tunnel.type}${port} ${checksum}`;
}
