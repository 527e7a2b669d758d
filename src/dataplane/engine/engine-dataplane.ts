// SPDX-License-Identifier: Apache-2.0
// The engine as a DataPlane: starts the engine thread and speaks with it. Opened by the daemon.

import { getRandomValues } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { missingCapabilities } from '../../linux/capabilities.ts';
import { SysError } from '../../linux/errno.ts';
import { EventFd } from '../../linux/eventfd.ts';
import { packRules } from '../../lvs/classify/pack.ts';
import { reachOf } from '../../lvs/classify/reach.ts';
import type { Change, ConnectionPage, DataPlane, DataPlaneSnapshot } from '../dataplane.ts';
import type { Logger } from '../logger.ts';
import { RuleFollower } from '../rules/rule-follower.ts';
import type { KernelRules } from '../rules/settle.ts';
import {
  type EngineAnswer,
  type EngineRequest,
  type EngineThreadData,
  type FromEngine,
  unpackError,
} from './engine-protocol.ts';

/** The bundle of engine-thread.ts (scripts/bundle.ts). */
const ENGINE_THREAD = new URL('../../../bundle/engine-thread.js', import.meta.url);

/** Connections that the table is reserved for unless told otherwise: 512 MiB of address space. */
export const DEFAULT_MAX_CONNECTIONS: number = 2 ** 22;

export interface EngineOptions {
  /** Devices to take; empty for every Ethernet device that is up and has an address. */
  readonly interfaces: readonly string[];
  readonly maxConnections?: number;
  readonly log: Logger;
  /** Called when the engine thread ends by itself: the data plane is gone. */
  readonly onFailure?: (error: Error) => void;
}

/**
 * Opens the engine on this machine's devices. Throws one clear error when the machine does not let it: privilege,
 * kernel feature, device.
 */
export async function openEngine(options: EngineOptions): Promise<DataPlane> {
  const missing = missingCapabilities(['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF']);
  if (missing.names.length > 0) throw new SysError('open engine', 'EPERM', missing.names.join(', '), missing.remedy);
  const wake = new EventFd();
  try {
    const engine = new EngineDataPlane(options, wake);
    await engine.opened;
    engine.followRules();
    return engine;
  } catch (error) {
    wake.close();
    throw error;
  }
}

interface Waiting {
  readonly resolve: (answer: EngineAnswer) => void;
  readonly reject: (error: Error) => void;
}

class EngineDataPlane implements DataPlane {
  /** Settles when the engine runs or has failed to. */
  readonly opened: Promise<void>;
  readonly #worker: Worker;
  readonly #wake: EventFd;
  readonly #log: Logger;
  readonly #waiting = new Map<number, Waiting>();
  readonly #onFailure: (error: Error) => void;
  readonly #ended: Promise<void>;
  readonly #rules: RuleFollower;
  #description = 'engine';
  #lastId = 0;
  #failure: Error | undefined;
  #isOpen = false;
  #isClosing = false;

  constructor(options: EngineOptions, wake: EventFd) {
    const [k0, k1] = getRandomValues(new Int32Array(2));
    const workerData: EngineThreadData = {
      interfaces: options.interfaces,
      maxConnections: options.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
      seed: { k0, k1 },
      wake: wake.number,
    };
    this.#wake = wake;
    this.#log = options.log;
    this.#onFailure = options.onFailure ?? (() => {});
    this.#rules = new RuleFollower({ log: options.log, onRules: (rules) => this.#takeRules(rules) });
    this.#worker = new Worker(ENGINE_THREAD, { workerData, name: 'engine' });
    this.opened = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: FromEngine) => {
        if (message.type === 'ready') {
          this.#description = message.description;
          this.#isOpen = true;
          resolve();
        } else if (message.type === 'failed' && !this.#isOpen) {
          this.#fail(unpackError(message.failure));
          reject(this.#failure);
        } else {
          this.#receive(message);
        }
      });
      this.#worker.on('error', (error: Error) => {
        this.#lose(error);
        reject(error);
      });
      this.#worker.once('exit', () => reject(new Error('the engine thread has ended before it was ready')));
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        // Who still asks, or asks from now on, would wait for ever.
        if (this.#isClosing) this.#fail(new Error('the engine is closed'));
        else this.#lose(new Error('the engine thread has ended'));
        resolve();
      });
    });
  }

  describe(): string {
    return this.#description;
  }

  /** Reads the kernel's firewall rules, and goes on to follow them. What is asked afterwards finds them applied. */
  followRules(): void {
    this.#rules.start();
  }

  async apply(change: Change): Promise<void> {
    if (change.type === 'add-mark') this.#rules.require();
    await this.#ask({ type: 'apply', change });
  }

  async snapshot(): Promise<DataPlaneSnapshot> {
    const snapshot = (await this.#ask({ type: 'snapshot' })) as DataPlaneSnapshot;
    return { ...snapshot, marks: { ...snapshot.marks, kernel: this.#rules.marks } };
  }

  async connections(cursor: number): Promise<ConnectionPage> {
    return (await this.#ask({ type: 'connections', cursor })) as ConnectionPage;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#rules.stop();
    if (this.#failure === undefined) await this.#ask({ type: 'close' });
    await this.#ended;
    this.#wake.close();
  }

  #takeRules(kernel: KernelRules): void {
    const rules = packRules(kernel.rules);
    const asking = this.#ask({ type: 'kernel-rules', rules, reach: reachOf(kernel.rules) }, [rules.code.buffer]);
    asking.catch((error: Error) => {
      if (!this.#isClosing) this.#log.error('the engine does not take the firewall rules', { error: error.message });
    });
  }

  /** @param handedOver - memory that is the engine's from now on. */
  #ask(request: EngineRequest, handedOver: readonly ArrayBuffer[] = []): Promise<EngineAnswer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request }, [...handedOver]);
      this.#wake.signal();
    });
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case 'answer':
        this.#take(message.id)?.resolve(message.answer);
        break;
      case 'refused':
        this.#take(message.id)?.reject(unpackError(message.failure));
        break;
      case 'log':
        this.#log[message.level](message.message, message.fields);
        break;
      case 'failed':
        this.#lose(unpackError(message.failure));
        break;
      case 'ready':
        break;
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** The engine thread is gone by itself. */
  #lose(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#rules.stop();
    this.#fail(error);
    if (this.#isOpen) this.#onFailure(error);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
