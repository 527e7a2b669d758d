// SPDX-License-Identifier: Apache-2.0
// Virtual services by what a packet is addressed to. Asked once per packet that belongs to no connection.
// hot path

import { formatServiceKey } from '../service-key.ts';
import type { AddressKey, Service } from './service.ts';

const BUCKETS = 256;

export class ServiceTable {
  /** In the order in which they were added. */
  readonly #byKey = new Map<string, Service>();
  readonly #buckets: Service[][] = Array.from({ length: BUCKETS }, () => []);

  get(key: AddressKey): Service | undefined {
    return this.#byKey.get(formatServiceKey(key));
  }

  add(service: Service): void {
    this.#byKey.set(formatServiceKey(service.key), service);
    this.#bucket(service).push(service);
  }

  remove(service: Service): void {
    this.#byKey.delete(formatServiceKey(service.key));
    const bucket = this.#bucket(service);
    bucket.splice(bucket.indexOf(service), 1);
  }

  values(): IterableIterator<Service> {
    return this.#byKey.values();
  }

  /** The service of an IPv4 packet's destination; `kind` is protocol << 8 | 4. */
  findIpv4(kind: number, destination: number, port: number): Service | undefined {
    const bucket = this.#buckets[bucketOf(kind, destination, port)];
    for (let i = 0; i < bucket.length; i++) {
      const service = bucket[i];
      if (
        service.words[0] === destination &&
        service.port === port &&
        ((service.protocol << 8) | service.family) === kind
      ) {
        return service;
      }
    }
    return undefined;
  }

  /** As {@link findIpv4} for the IPv6 destination address at `destination` of `view`. */
  findIpv6(kind: number, view: DataView, destination: number, port: number): Service | undefined {
    const first = view.getInt32(destination);
    const second = view.getInt32(destination + 4);
    const third = view.getInt32(destination + 8);
    const last = view.getInt32(destination + 12);
    const bucket = this.#buckets[bucketOf(kind, first ^ second ^ third ^ last, port)];
    for (let i = 0; i < bucket.length; i++) {
      const { words, port: servicePort, protocol, family } = bucket[i];
      if (
        words[3] === last &&
        words[0] === first &&
        words[1] === second &&
        words[2] === third &&
        servicePort === port &&
        ((protocol << 8) | family) === kind
      ) {
        return bucket[i];
      }
    }
    return undefined;
  }

  #bucket(service: Service): Service[] {
    const { words, protocol, family, port } = service;
    const folded = family === 4 ? words[0] : words[0] ^ words[1] ^ words[2] ^ words[3];
    return this.#buckets[bucketOf((protocol << 8) | family, folded, port)];
  }
}

function bucketOf(kind: number, address: number, port: number): number {
  return (Math.imul(address ^ kind ^ (port << 16), 0x61c88647) >>> 24) & (BUCKETS - 1);
}
