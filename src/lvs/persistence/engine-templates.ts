// SPDX-License-Identifier: Apache-2.0
// Templates whose key is more than addresses and ports: a persistence engine reads an identity out of the packet (sip: the
// Call-ID), and this table finds the template by it (ip_vs_sip_ct_match). Only services with an engine come here, so that
// text is affordable.

import { IPPROTO_UDP } from '../../packet/ipv4.ts';
import type { Headers } from '../../packet/parse.ts';
import { UDP_HLEN } from '../../packet/udp.ts';
import type { Connections } from '../connection/connections.ts';
import { KIND_ENGINE } from '../connection/layout.ts';
import type { Service } from '../service/service.ts';
import { findCallId } from './sip.ts';

/** Names of the persistence engines. */
export const ENGINES: readonly string[] = ['sip'];

interface Identity {
  readonly key: string;
  readonly name: string;
  readonly data: string;
}

export class EngineTemplates {
  readonly #templates = new Map<string, number>();
  readonly #identities = new Map<number, Identity>();
  /** Of the packet that {@link identify} saw last. */
  #identity: Identity | undefined = undefined;

  constructor(connections: Connections) {
    connections.onEngineTemplateInvalid = (template) => this.#hide(template);
    connections.onEngineTemplateEnd = (template) => this.#forget(template);
  }

  /** Reads the identity of a packet for a template of this key; false when it has none. */
  identify(
    view: DataView,
    headers: Headers,
    service: Service,
    kind: number,
    client: Int32Array,
    virtual: Int32Array,
    port: number,
  ): boolean {
    if (headers.protocol !== IPPROTO_UDP) return false;
    const start = headers.transport + UDP_HLEN;
    const data = findCallId(view, start, headers.end);
    if (data === undefined) return false;
    const key = `${kind} ${client.join(' ')} ${virtual.join(' ')} ${port} ${data}`;
    this.#identity = { key, name: service.engine, data };
    return true;
  }

  /** The template of the packet that was identified last, or 0. */
  find(): number {
    return this.#identity === undefined ? 0 : (this.#templates.get(this.#identity.key) ?? 0);
  }

  /** KIND of a template with an identity. */
  kind(kind: number): number {
    return kind | KIND_ENGINE;
  }

  /** Has the new template found by the identity read last. */
  remember(template: number): void {
    if (this.#identity === undefined) return;
    this.#templates.set(this.#identity.key, template);
    this.#identities.set(template, this.#identity);
  }

  /** What listings show of a template, if it has an identity. */
  describe(template: number): Identity | undefined {
    return this.#identities.get(template);
  }

  /** It is not found any more, but keeps its identity for as long as it is listed. */
  #hide(template: number): void {
    const identity = this.#identities.get(template);
    if (identity !== undefined && this.#templates.get(identity.key) === template) this.#templates.delete(identity.key);
  }

  #forget(template: number): void {
    this.#hide(template);
    this.#identities.delete(template);
  }
}
