// SPDX-License-Identifier: Apache-2.0
// Draft to command: what goes with what, in the order in which ipvsadm 1.31 complains, and the defaults of what was
// left out. Called by arguments.ts at the end of a command line.

import type { Change } from '../../dataplane/dataplane.ts';
import type { Persistence, ServerOptions, ServiceKey, ServiceOptions, TunnelOptions } from '../../lvs/model.ts';
import type { Command, ListingFormat, SyncDaemon } from './command.ts';
import type { Draft } from './draft.ts';
import { ArgumentError, UnsupportedArgument } from './messages.ts';
import { COMMAND_OPTIONS, OPTION_NAMES, type OptionName, TUNNEL_OPTIONS, type Uses } from './options.ts';

const TUNNEL_WORDS: readonly OptionName[] = ['tun-type', 'tun-port', 'tun-nocsum', 'tun-csum', 'tun-remcsum'];

/** The command that `draft` describes. Throws an {@link ArgumentError} when its parts do not go together. */
export function draftToCommand(draft: Draft): Command {
  checkUses(draft, OPTION_NAMES, COMMAND_OPTIONS[draft.command], `'${draft.command}' command`);
  const { command } = draft;
  switch (command) {
    case 'add-service':
    case 'edit-service':
      return change({ type: command, service: serviceKey(draft), options: serviceOptions(draft) });
    case 'delete-service':
      return change({ type: command, service: serviceKey(draft) });
    case 'add-server':
    case 'edit-server': {
      const options = serverOptions(draft);
      const { address, port } = draft.server!;
      // A packet that is only routed on keeps its port.
      const isNat = draft.method === 'nat' || draft.method === 'fullnat';
      const forced = draft.mark === undefined && !isNat;
      return change({
        type: command,
        service: serviceKey(draft),
        server: { address, port: forced ? draft.port : port },
        options,
      });
    }
    case 'delete-server': {
      const { address, port } = draft.server!;
      return change({ type: command, service: serviceKey(draft), server: { address, port } });
    }
    case 'flush':
      return change({ type: 'flush' });
    case 'zero':
      return change(
        draft.seen.has('service-address') ? { type: 'zero', service: serviceKey(draft) } : { type: 'zero' },
      );
    case 'set': {
      const [tcp, tcpFin, udp] = draft.timeouts!;
      return change({ type: 'set-timeouts', timeouts: { tcp, tcpFin, udp } });
    }
    case 'list':
      return listing(draft);
    case 'save':
      return { type: 'save', numeric: draft.seen.has('numeric') };
    case 'restore':
      return { type: 'restore' };
    case 'start-daemon':
      return { type: 'start-daemon', daemon: syncDaemon(draft) };
    case 'stop-daemon':
      return { type: 'stop-daemon', role: draft.role!, syncId: draft.syncId };
  }
}

function change(change: Change): Command {
  return { type: 'change', change };
}

/** Checks the options of `draft` among `names` against `uses`, one name after the other. */
function checkUses(draft: Draft, names: readonly OptionName[], uses: Uses, where: string): void {
  let exclusive: OptionName | undefined;
  for (const name of names) {
    const use = uses[name];
    if (!draft.seen.has(name)) {
      if (use === 'needed') throw new ArgumentError(`You need to supply the '${name}' option for the ${where}`);
      continue;
    }
    if (use === undefined) throw new ArgumentError(`Illegal '${name}' option with the ${where}`);
    if (use !== 'exclusive') continue;
    if (exclusive !== undefined) {
      throw new ArgumentError(`The option '${name}' conflicts with the '${exclusive}' option in the ${where}`);
    }
    exclusive = name;
  }
}

function serviceKey(draft: Draft): ServiceKey {
  if (draft.mark !== undefined) return { kind: 'fwmark', mark: draft.mark, family: draft.family! };
  return { kind: 'address', protocol: draft.protocol!, address: draft.address!, port: draft.port };
}

function serviceOptions(draft: Draft): ServiceOptions {
  const isPersistent = draft.persistentSeconds !== undefined;
  const onePacket = draft.seen.has('ops');
  if (draft.mark === undefined && draft.port === 0 && !isPersistent) {
    throw new ArgumentError('Zero port specified for non-persistent service');
  }
  if (onePacket && draft.mark === undefined && draft.protocol !== 'udp') {
    throw new ArgumentError('One-Packet Scheduling is only for UDP virtual services');
  }
  return {
    scheduler: draft.scheduler || 'wlc',
    schedulerFlags: draft.flags,
    ...(isPersistent ? { persistence: persistence(draft, draft.persistentSeconds!) } : {}),
    onePacket,
  };
}

/** deviates: without -p the kernel keeps -M and --pe unused; here they are forgotten. */
function persistence(draft: Draft, timeoutSeconds: number): Persistence {
  return {
    timeoutSeconds,
    prefixLength: draft.family === 6 ? draft.netmask : prefixOfMask(draft.netmask),
    ...(draft.engine ? { engine: draft.engine } : {}),
  };
}

/** deviates: the kernel takes any bit pattern as an IPv4 mask, here it has to be a prefix. */
function prefixOfMask(mask: number): number {
  const length = Math.clz32(~mask);
  if (mask !== (length === 0 ? 0 : -1 << (32 - length))) {
    throw new UnsupportedArgument('a persistence mask must be a prefix, ones followed by zeros');
  }
  return length;
}

function serverOptions(draft: Draft): ServerOptions {
  const isTunnel = draft.method === 'tun';
  if (draft.server!.family !== draft.family && !isTunnel) {
    throw new ArgumentError('Different address family is allowed only for tunneling servers');
  }
  if (!isTunnel && TUNNEL_WORDS.some((name) => draft.seen.has(name))) {
    throw new ArgumentError('Tunnel options conflict with forward method');
  }
  return {
    method: draft.method,
    weight: draft.weight,
    upperThreshold: draft.upperThreshold,
    lowerThreshold: draft.lowerThreshold,
    ...(isTunnel ? { tunnel: tunnelOptions(draft) } : {}),
  };
}

function tunnelOptions(draft: Draft): TunnelOptions {
  const type = draft.tunnelType;
  checkUses(draft, TUNNEL_WORDS, TUNNEL_OPTIONS[type], `'${type}' tunnel type`);
  const checksum = draft.seen.has('tun-csum') ? 'csum' : 'none';
  switch (type) {
    case 'ipip':
      return { type };
    case 'gue':
      return { type, port: draft.tunnelPort, checksum: draft.seen.has('tun-remcsum') ? 'remcsum' : checksum };
    case 'gre':
      return { type, checksum };
  }
}

function listing(draft: Draft): Command {
  const has = (...names: OptionName[]): boolean => names.some((name) => draft.seen.has(name));
  if (
    has('connection', 'timeout', 'daemon') &&
    (has('stats', 'rate', 'thresholds') || (has('persistent-conn') && !has('connection')))
  ) {
    throw new ArgumentError('options conflicts in the list command');
  }
  const numeric = has('numeric');
  if (has('connection')) return { type: 'list-connections', numeric, withEngine: has('persistent-conn') };
  if (has('timeout')) return { type: 'list-timeouts' };
  if (has('daemon')) return { type: 'list-daemon' };
  const modes = ['stats', 'rate', 'thresholds', 'persistent-conn', 'tun-info'] as const;
  const mode = modes.find((name) => has(name)) ?? 'default';
  const format: ListingFormat = { mode, numeric, exact: has('exact'), sorted: !has('nosort') };
  return { type: 'list', ...(has('service-address') ? { service: serviceKey(draft) } : {}), format };
}

function syncDaemon(draft: Draft): SyncDaemon {
  return {
    role: draft.role!,
    device: draft.device,
    syncId: draft.syncId,
    ...(draft.maxLength === undefined ? {} : { maxLength: draft.maxLength }),
    ...(draft.group === undefined ? {} : { group: draft.group }),
    ...(draft.groupPort === undefined ? {} : { port: draft.groupPort }),
    ...(draft.ttl === undefined ? {} : { ttl: draft.ttl }),
  };
}
