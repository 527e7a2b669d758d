// SPDX-License-Identifier: Apache-2.0
// Virtual services by what a packet is addressed to, or by its firewall mark. Asked once per packet that belongs to no
// connection.
// hot path

import type { ServiceKey } from '../model.ts';
import { formatServiceKey } from '../service-key.ts';
import type { Service } from './service.ts';

const BUCKETS = 256;
/** Port of FTP's control connection: its service takes data connections too. */
export const FTP_PORT = 21;

export class ServiceTable {
  /** Services of every port of an address, and marks': while there is none, nobody looks for one. */
  allPorts = 0;
  /** Services of {@link FTP_PORT}. */
  ftp = 0;
  /** Services with a persistence engine, whose servers may open connections. */
  engines = 0;
  /** Services of each family. */
  #ipv4 = 0;
  #ipv6 = 0;
  /** In the order in which they were added. */
  readonly #byKey = new Map<string, Service>();
  readonly #buckets: Service[][] = Array.from({ length: BUCKETS }, () => []);
  readonly #marks4 = new Map<number, Service>();
  readonly #marks6 = new Map<number, Service>();

  get(key: ServiceKey): Service | undefined {
    return this.#byKey.get(formatServiceKey(key));
  }

  add(service: Service): void {
    this.#byKey.set(formatServiceKey(service.key), service);
    if (service.mark !== 0) this.#marks(service.family).set(service.mark, service);
    else this.#bucket(service).push(service);
    this.#count(service, 1);
  }

  remove(service: Service): void {
    this.#byKey.delete(formatServiceKey(service.key));
    this.#count(service, -1);
    if (service.mark !== 0) {
      this.#marks(service.family).delete(service.mark);
      return;
    }
    const bucket = this.#bucket(service);
    bucket.splice(bucket.indexOf(service), 1);
  }

  /** Changes a service by `edit`, which leaves its key. */
  edit(service: Service, edit: () => void): void {
    this.#count(service, -1);
    edit();
    this.#count(service, 1);
  }

  values(): IterableIterator<Service> {
    return this.#byKey.values();
  }

  /** Whether there are services of firewall marks. */
  hasMarks(family: number): boolean {
    return (family === 4 ? this.#marks4 : this.#marks6).size > 0;
  }

  /** The service of a firewall mark above 0. */
  findMark(family: number, mark: number): Service | undefined {
    return (family === 4 ? this.#marks4 : this.#marks6).get(mark);
  }

  /** The service of a destination: address words as a packet has them, `kind` is protocol << 8 | family. */
  find(kind: number, words: Int32Array, port: number): Service | undefined {
    const first = words[0];
    const second = words[1];
    const third = words[2];
    const last = words[3];
    const bucket = this.#buckets[bucketOf(kind, first ^ second ^ third ^ last, port)];
    for (let i = 0; i < bucket.length; i++) {
      const service = bucket[i];
      const own = service.words;
      if (
        own[0] === first &&
        own[3] === last &&
        own[1] === second &&
        own[2] === third &&
        service.port === port &&
        ((service.protocol << 8) | service.family) === kind
      ) {
        return service;
      }
    }
    return undefined;
  }

  /** Whether there is any service of a family. */
  serves(family: number): boolean {
    return family === 4 ? this.#ipv4 > 0 : this.#ipv6 > 0;
  }

  #count(service: Service, step: number): void {
    if (service.family === 4) this.#ipv4 += step;
    else this.#ipv6 += step;
    if (service.port === 0) this.allPorts += step;
    if (service.port === FTP_PORT) this.ftp += step;
    if (service.engine !== '') this.engines += step;
  }

  #marks(family: number): Map<number, Service> {
    return family === 4 ? this.#marks4 : this.#marks6;
  }

  #bucket(service: Service): Service[] {
    const { words, protocol, family, port } = service;
    return this.#buckets[bucketOf((protocol << 8) | family, words[0] ^ words[1] ^ words[2] ^ words[3], port)];
  }
}

function bucketOf(kind: number, folded: number, port: number): number {
  return (Math.imul(folded ^ kind ^ (port << 16), 0x61c88647) >>> 24) & (BUCKETS - 1);
}
