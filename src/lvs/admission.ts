// SPDX-License-Identifier: Apache-2.0
// What happens to a packet that belongs to no connection: is it for a service, may it open a connection, and with which
// server. The order of decisions is the kernel's (tcp_conn_schedule, ip_vs_schedule, ip_vs_sched_persist, ip_vs_leave).
// Asked by the director once per new connection.
// hot path

import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPV4_DST, IPV4_SRC } from '../packet/ipv4.ts';
import { IPV6_DST, IPV6_SRC } from '../packet/ipv6.ts';
import type { Headers } from '../packet/parse.ts';
import { TCP_FLAGS, TCP_RST, TCP_SYN } from '../packet/tcp.ts';
import type { MarkClassifier } from './classify/classifier.ts';
import type { Connections } from './connection/connections.ts';
import { IP_VS_CONN_F_ONE_PACKET, KIND_TEMPLATE } from './connection/layout.ts';
import { hasChunk, opensSctp } from './connection/sctp-state.ts';
import type { Defence } from './defence/defence.ts';
import type { Fullnat } from './fullnat/fullnat.ts';
import type { HostAddresses } from './host-addresses.ts';
import { EngineTemplates } from './persistence/engine-templates.ts';
import { SchedulingRequest } from './schedule/scheduler.ts';
import type { Server } from './service/server.ts';
import type { Service } from './service/service.ts';
import type { ServiceList } from './service/service-list.ts';
import { FTP_PORT } from './service/service-table.ts';
import type { Sysctls } from './sysctl.ts';
import {
  DROP_DEFENCE,
  DROP_NO_IDENTITY,
  DROP_NO_LOCAL_PORT,
  DROP_NO_SERVER,
  DROP_TABLE_FULL,
  DROP_TRUNCATED,
  PASS,
} from './verdict.ts';

/** TCP and UDP port of active FTP's data connections, which are never scheduled. */
const FTP_DATA = 20;
/** First port that anybody may listen on (net.ipv4.ip_unprivileged_port_start). */
const FIRST_UNPRIVILEGED = 1024;

export interface AdmissionParts {
  readonly services: ServiceList;
  readonly connections: Connections;
  readonly sysctls: Sysctls;
  readonly defence: Defence;
  readonly host: HostAddresses | undefined;
  readonly fullnat: Fullnat;
}

export class Admission {
  /** What gives packets their firewall marks; without it there are none. */
  marks: MarkClassifier | undefined = undefined;
  readonly engines: EngineTemplates;
  readonly #services: ServiceList;
  readonly #connections: Connections;
  readonly #sysctls: Sysctls;
  readonly #defence: Defence;
  readonly #host: HostAddresses | undefined;
  readonly #fullnat: Fullnat;
  readonly #request = new SchedulingRequest();
  /** Masked client and virtual address or mark of a template's key. */
  readonly #client = new Int32Array(4);
  readonly #virtual = new Int32Array(4);

  constructor({ services, connections, sysctls, defence, host, fullnat }: AdmissionParts) {
    this.#services = services;
    this.#connections = connections;
    this.#sysctls = sysctls;
    this.#defence = defence;
    this.#host = host;
    this.#fullnat = fullnat;
    this.engines = new EngineTemplates(connections);
  }

  /**
   * Opens a connection for the packet in `headers`, which came in by `device`. Returns its record (above 0), or the
   * verdict as a number not above 0: -DROP_NO_SERVER asks for an answer to the client.
   */
  admit(view: DataView, headers: Headers, device: number, now: number): number {
    const request = this.#request;
    this.#read(view, headers);
    if (!this.#mayOpen(view, headers)) {
      // What is for this machine and has no chunk to tell by is not left to the kernel's own SCTP.
      const isMute = headers.protocol === IPPROTO_SCTP && !hasChunk(headers.transport, headers.end);
      return isMute && this.#host?.isLocal(headers.family, request.destination) === true ? -DROP_TRUNCATED : -PASS;
    }
    const ports = view.getInt32(headers.transport);
    request.sourcePort = ports >>> 16;
    request.now = now;
    const service = this.#find(view, headers, device, ports & 0xffff);
    if (service === undefined || !isHost(headers.family, request.source)) return -PASS;
    // The machine's own address comes from outside: the kernel drops those as martians, in IPv4.
    if (headers.family === 4 && this.#host?.isLocal(4, request.source) === true) return -PASS;
    if (this.#defence.dropsPacket()) return -DROP_DEFENCE;
    if (ports >>> 16 === FTP_DATA) return -PASS;
    const port = ports & 0xffff;
    if (service.quic !== undefined && headers.protocol === IPPROTO_UDP) {
      const server = service.quic.find(view, headers);
      if (server !== undefined)
        return this.#open(view, headers, service, ports, server, server.port !== 0 ? server.port : port);
    }
    if (service.isPersistent) return this.#admitPersistent(view, headers, service, ports, now);
    // The kernel serves all ports of an address only with persistence.
    const server = service.mark !== 0 || port === service.port ? service.schedule(request) : undefined;
    if (server === undefined) return this.#leave(headers, service, ports);
    return this.#open(view, headers, service, ports, server, server.port !== 0 ? server.port : port);
  }

  /**
   * Opens a connection for a packet that `server` sends by itself, for the sake of its service's persistence engine
   * (ip_vs_new_conn_out). Returns its record, or 0 when there is none to open.
   */
  admitServers(view: DataView, headers: Headers, server: Server, now: number): number {
    const request = this.#request;
    const { service } = server;
    const ports = view.getInt32(headers.transport);
    const serverPort = ports >>> 16;
    const clientPort = ports & 0xffff;
    if (service.mark !== 0 || service.port === 0 || serverPort === 0) return 0;
    this.#read(view, headers);
    request.source.set(request.destination);
    request.destination.set(service.words);
    const kind = (headers.protocol << 8) | headers.family;
    let template = 0;
    if (service.isPersistent) {
      const virtual = this.#virtual;
      virtual.set(service.words);
      for (let i = 0; i < 4; i++) this.#client[i] = request.source[i] & service.netmask[i];
      const templateKind = kind | KIND_TEMPLATE;
      if (!this.engines.identify(view, headers, service, templateKind, this.#client, virtual, service.port)) return 0;
      template = this.engines.find();
      if (template === 0 || this.#serverOf(template) !== server) {
        if (template !== 0) this.#connections.invalidate(template);
        template = this.#openTemplate(service, templateKind, service.port, server, serverPort, now);
        if (template === 0) return 0;
      }
    }
    const id = this.#open(view, headers, service, (clientPort << 16) | service.port, server, serverPort);
    if (id <= 0) return 0;
    if (template !== 0) this.#connections.control(id, template, now);
    return id;
  }

  #admitPersistent(view: DataView, headers: Headers, service: Service, ports: number, now: number): number {
    const request = this.#request;
    const connections = this.#connections;
    const port = ports & 0xffff;
    const isOwnPort = port === service.port;
    const virtual = this.#virtual;
    let kind = (headers.protocol << 8) | headers.family | KIND_TEMPLATE;
    let virtualPort = 0;
    virtual.set(request.destination);
    if (isOwnPort) {
      if (port !== FTP_PORT) virtualPort = port;
    } else if (service.mark !== 0) {
      kind = headers.family | KIND_TEMPLATE;
      virtual.fill(0);
      virtual[0] = service.mark | 0;
    }
    for (let i = 0; i < 4; i++) this.#client[i] = request.source[i] & service.netmask[i];

    const hasEngine = service.engine !== '';
    if (hasEngine && !this.engines.identify(view, headers, service, kind, this.#client, virtual, virtualPort)) {
      return -DROP_NO_IDENTITY;
    }
    let template = hasEngine ? this.engines.find() : connections.findTemplate(kind, this.#client, virtual, virtualPort);
    let server = template === 0 ? undefined : this.#serverOf(template);
    if (server === undefined) {
      if (template !== 0) connections.invalidate(template);
      server = service.schedule(request);
      if (server === undefined) return this.#leave(headers, service, ports);
      const serverPort = isOwnPort && port !== FTP_PORT ? server.port : 0;
      template = this.#openTemplate(service, kind, virtualPort, server, serverPort, now);
      if (template === 0) return -DROP_TABLE_FULL;
    }
    const id = this.#open(view, headers, service, ports, server, isOwnPort && server.port !== 0 ? server.port : port);
    if (id > 0) connections.control(id, template, now);
    return id;
  }

  /** A template for the client and virtual address that were just worked out; 0 when the table is full. */
  #openTemplate(
    service: Service,
    kind: number,
    virtualPort: number,
    server: Server,
    serverPort: number,
    now: number,
  ): number {
    const hasEngine = service.engine !== '';
    const ownKind = hasEngine ? this.engines.kind(kind) : kind;
    const template = this.#connections.openTemplate(
      ownKind,
      this.#client,
      this.#virtual,
      virtualPort,
      server,
      serverPort,
      service.persistence,
      now,
    );
    if (template !== 0 && hasEngine) this.engines.remember(template);
    return template;
  }

  /** The server of a template that is still good for new connections. */
  #serverOf(template: number): Server | undefined {
    const server = this.#connections.serverOf(template);
    if (server === undefined || !server.available || server.drain !== undefined) return undefined;
    const endsQuiesced = this.#sysctls.values.expireQuiescentTemplate !== 0 || server.service.quiesceEndsAffinity;
    return endsQuiesced && server.options.weight === 0 ? undefined : server;
  }

  #open(view: DataView, headers: Headers, service: Service, ports: number, server: Server, port: number): number {
    const kind = (headers.protocol << 8) | headers.family;
    const isOnePacket = service.onePacket && headers.protocol === IPPROTO_UDP;
    const flags = isOnePacket ? IP_VS_CONN_F_ONE_PACKET : 0;
    const isFullnat = server.options.method === 'fullnat';
    const lease = isFullnat ? this.#fullnat.take(service, server, headers.protocol, port) : 0;
    if (isFullnat && lease === 0) return -DROP_NO_LOCAL_PORT;
    const local = isFullnat ? this.#fullnat.locals : undefined;
    const id = this.#connections.open(this.#request, kind, ports, server, port, flags, lease, local);
    if (id === 0) {
      if (isFullnat) this.#fullnat.giveBack(lease);
      return -DROP_TABLE_FULL;
    }
    if (isFullnat) this.#fullnat.open(view, headers, id, service, this.#request.now);
    // By a template that two services share, a server of one takes connections of the other.
    if (server.service !== service) service.takeConnectionFrom(server.service);
    if (service.isTimed && headers.protocol === IPPROTO_TCP) this.#connections.time(id, server, this.#request.now);
    return id;
  }

  /** No server may take the connection. */
  #leave(headers: Headers, service: Service, ports: number): number {
    const request = this.#request;
    const { family } = headers;
    if (
      this.#sysctls.values.cacheBypass !== 0 &&
      service.mark !== 0 &&
      isHost(family, request.destination) &&
      // In IPv6 the kernel does not ask whether the destination is the machine itself, and finds out later.
      (family === 6 || this.#host?.isLocal(family, request.destination) !== true)
    ) {
      const isOnePacket = service.onePacket && headers.protocol === IPPROTO_UDP;
      const flags = isOnePacket ? IP_VS_CONN_F_ONE_PACKET : 0;
      const id = this.#connections.open(request, (headers.protocol << 8) | family, ports, undefined, 0, flags);
      return id === 0 ? -DROP_TABLE_FULL : id;
    }
    if (service.port === FTP_PORT && (ports & 0xffff) !== FTP_PORT) return -PASS;
    return -DROP_NO_SERVER;
  }

  /** Whether a packet of its protocol may open a connection at all. */
  #mayOpen(view: DataView, headers: Headers): boolean {
    switch (headers.protocol) {
      case IPPROTO_TCP: {
        const flags = view.getUint8(headers.transport + TCP_FLAGS);
        if ((flags & TCP_RST) !== 0) return false;
        return (flags & TCP_SYN) !== 0 || this.#sysctls.values.sloppyTcp !== 0;
      }
      case IPPROTO_SCTP:
        return opensSctp(view, headers.transport, headers.end, this.#sysctls.values.sloppySctp !== 0);
      default:
        return true;
    }
  }

  /** The service of a packet (ip_vs_service_find): by its mark, its destination, FTP's data ports, any port. */
  #find(view: DataView, headers: Headers, device: number, port: number): Service | undefined {
    const { table } = this.#services;
    const kind = (headers.protocol << 8) | headers.family;
    if (this.marks !== undefined && table.hasMarks(headers.family)) {
      const marked = this.#findMarked(this.marks, view, headers, device);
      if (marked !== undefined) return marked;
    }
    const words = this.#request.destination;
    let service = table.find(kind, words, port);
    if (service === undefined && table.ftp > 0 && headers.protocol === IPPROTO_TCP) {
      if (port === FTP_DATA || port >= FIRST_UNPRIVILEGED) service = table.find(kind, words, FTP_PORT);
    }
    if (service === undefined && table.allPorts > 0) service = table.find(kind, words, 0);
    return service;
  }

  /**
   * The service of a packet's mark. IPVS sees in LOCAL_IN only what is delivered to the machine itself: its own addresses,
   * and what policy routing delivers because of the mark.
   */
  #findMarked(marks: MarkClassifier, view: DataView, headers: Headers, device: number): Service | undefined {
    const mark = marks.markOf(view, headers, device);
    const service = mark === 0 ? undefined : this.#services.table.findMark(headers.family, mark);
    if (service === undefined) return undefined;
    const { family } = headers;
    const { source, destination } = this.#request;
    const host = this.#host;
    if (host === undefined) return service;
    if (!isHost(family, source)) return undefined;
    return host.deliversMarked(family, source, destination, marks.routingMark, device) ? service : undefined;
  }

  /** Addresses into the request. */
  #read(view: DataView, headers: Headers): void {
    const { source, destination } = this.#request;
    const { ip } = headers;
    if (headers.family === 4) {
      source[0] = view.getInt32(ip + IPV4_SRC);
      destination[0] = view.getInt32(ip + IPV4_DST);
      for (let i = 1; i < 4; i++) {
        source[i] = 0;
        destination[i] = 0;
      }
      return;
    }
    for (let i = 0; i < 4; i++) {
      source[i] = view.getInt32(ip + IPV6_SRC + (i << 2));
      destination[i] = view.getInt32(ip + IPV6_DST + (i << 2));
    }
  }
}

/** Whether an address can be one host's; the kernel drops packets from others as martians and answers none of them. */
function isHost(family: number, words: Int32Array): boolean {
  const top = words[0] >>> 24;
  if (family === 4) return words[0] !== 0 && top !== 127 && (top < 224 || top >= 240) && words[0] !== -1;
  const isLoopback = (words[0] | words[1] | words[2]) === 0 && words[3] === 1;
  return top !== 0xff && !isLoopback;
}
