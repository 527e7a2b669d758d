// SPDX-License-Identifier: Apache-2.0
// The engine thread: started by engine-dataplane.ts as a worker. Blocks in poll(2) over the links, the kernel's events and the
// main thread's eventfd, and between batches does what the main thread asks. Never returns to an event loop.
// hot path: run()

import './inline-limits.ts';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { readFd } from '../../linux/fd.ts';
import { PollSet } from '../../linux/poll.ts';
import { MS_PER_TICK } from '../../lvs/connection/layout.ts';
import type { LogFields, Logger } from '../logger.ts';
import { EngineHost } from './engine-host.ts';
import type { EngineAnswer, EngineRequest, EngineThreadData, FromEngine, ToEngine } from './engine-protocol.ts';
import { packError } from './engine-protocol.ts';

/** Longest sleep while connections or their timers may need attention. */
const IDLE_MS = 50;
/** Sleep while the device has not taken all that is to be sent. */
const PENDING_MS = 1;
/** Turns without a sleep after which control messages and kernel events are looked for all the same. */
const BUSY_TURNS = 64;
const CONFIRM_MS = 1000;

const port = parentPort;
if (port === null) throw new Error('engine-thread.ts is a worker: start it through openEngine');

const post = (message: FromEngine): void => port.postMessage(message);

const logTo =
  (level: keyof Logger) =>
  (message: string, fields?: LogFields): void =>
    post({ type: 'log', level, message, fields });
const log: Logger = { debug: logTo('debug'), info: logTo('info'), warn: logTo('warn'), error: logTo('error') };

const nowMs = (): number => performance.now();
const tickOf = (ms: number): number => (ms / MS_PER_TICK) | 0;

/** Carries packets until the main thread says close. */
function run(host: EngineHost, wake: number): void {
  const sockets = host.links.reduce((sum, link) => sum + link.pollFds.length, 0);
  const polls = new PollSet(2 + sockets);
  const wakeAt = polls.add(wake);
  const kernelAt = polls.add(host.mirror.number);
  const linkPlaces: number[] = [];
  const watchLinks = (): void => {
    for (const place of linkPlaces.splice(0)) polls.remove(place);
    for (const link of host.links) for (const fd of link.pollFds) linkPlaces.push(polls.add(fd));
  };
  watchLinks();
  let watched = host.links.length;
  let busyTurns = 0;
  let confirmAt = 0;

  for (;;) {
    const start = nowMs();
    const packets = host.engine.turn(tickOf(start), (start * 1000) | 0);
    if (packets > 0 && ++busyTurns < BUSY_TURNS) continue;
    busyTurns = 0;
    let timeout = packets > 0 || host.engine.lags ? 0 : IDLE_MS;
    for (const link of host.links) if (timeout > PENDING_MS && link.pending) timeout = PENDING_MS;
    if (polls.wait(timeout) > 0) {
      if (polls.isReady(kernelAt)) host.mirror.drain();
      if (polls.isReady(wakeAt) && !serve(host, wake)) return;
    }
    host.mirror.refresh(nowMs);
    const ms = nowMs();
    if (ms >= confirmAt) {
      confirmAt = ms + CONFIRM_MS;
      host.second();
    }
    if (host.links.length !== watched) {
      watchLinks();
      watched = host.links.length;
    }
  }
}

const wakeCount = new Uint8Array(8);

/** Answers every message that waits; false after `close`. */
function serve(host: EngineHost, wake: number): boolean {
  readFd(wake, wakeCount, 'wake-up');
  for (;;) {
    const received = receiveMessageOnPort(port!) as { message: ToEngine } | undefined;
    if (received === undefined) return true;
    const { id, request } = received.message;
    if (request.type === 'close') {
      host.close();
      post({ type: 'answer', id, answer: undefined });
      return false;
    }
    try {
      post({ type: 'answer', id, answer: answer(host, request) });
    } catch (error) {
      post({ type: 'refused', id, failure: packError(error) });
    }
  }
}

function answer(host: EngineHost, request: Exclude<EngineRequest, { type: 'close' }>): EngineAnswer {
  switch (request.type) {
    case 'apply':
      host.control.applyNow(request.change);
      return undefined;
    case 'snapshot':
      return host.snapshot();
    case 'connections':
      return host.connections(request.cursor);
    case 'kernel-rules':
      host.setKernelRules(request.rules, request.reach);
      return undefined;
  }
}

const data = workerData as EngineThreadData;
try {
  const host = new EngineHost(data, log, () => tickOf(nowMs()));
  post({ type: 'ready', description: host.describe() });
  try {
    run(host, data.wake);
  } catch (error) {
    host.close();
    throw error;
  }
} catch (error) {
  post({ type: 'failed', failure: packError(error) });
}
