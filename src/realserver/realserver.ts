// SPDX-License-Identifier: Apache-2.0
// Makes this machine a real server, and undoes it: `ballast realserver up` and `down`, labs and tests call these. Works in
// the calling thread's network namespace, synchronously. What several `up`s asked for adds up.

import type { Address } from '../packet/address.ts';
import { StepKernel } from './kernel.ts';
import { planSteps, SetupError, type Step, stepKey } from './plan.ts';
import { reconcile } from './reconcile.ts';
import type { Decapsulation, Method, Setup, Tunnel } from './setup.ts';
import { readState, type State, withState, writeState } from './state.ts';

/** What is asked for; `by` and `device` of a tunnel are found out where they are not given. */
export interface WantedSetup extends Omit<Setup, 'tunnel'> {
  readonly tunnel: WantedTunnel | undefined;
}

export interface WantedTunnel extends Omit<Tunnel, 'by' | 'device'> {
  readonly by: Decapsulation | undefined;
  readonly device: string | undefined;
}

/** What is up afterwards, and what had to be left as it is, in words. */
export interface Result {
  readonly setups: State['setups'];
  readonly remarks: readonly string[];
}

/** Adds what is wanted to what is up. Throws a {@link SetupError} or SysError, and then nothing has changed. */
export function bringUp(file: string, wanted: WantedSetup): Result {
  const method: Method = wanted.tunnel === undefined ? 'dr' : 'tun';
  return change(file, (state, kernel) => {
    const setup = join(state.setups[method], wanted, kernel, method);
    return { ...state.setups, [method]: setup };
  });
}

/** Takes back everything of `methods`, or only `virtual` when there are any. */
export function takeDown(file: string, methods: readonly Method[], virtual: readonly Address[]): Result {
  return change(file, ({ setups }) => {
    const left: Partial<Record<Method, Setup>> = { ...setups };
    for (const method of methods) {
      const setup = left[method];
      if (setup === undefined) continue;
      const others = virtual.length === 0 ? [] : setup.virtual.filter((address) => !virtual.includes(address));
      if (others.length === 0) delete left[method];
      else left[method] = { ...setup, virtual: others };
    }
    return left;
  });
}

function change(file: string, decide: (state: State, kernel: StepKernel) => State['setups']): Result {
  return withState(file, () => {
    const kernel = new StepKernel();
    try {
      const state = readState(file);
      const setups = decide(state, kernel);
      const save = (journal: State['journal']): void => writeState(file, { setups, journal });
      try {
        const { remarks } = reconcile(stepsOf(setups), state.journal, kernel, save);
        return { setups, remarks };
      } catch (error) {
        writeState(file, { setups: state.setups, journal: readState(file).journal });
        throw error;
      }
    } finally {
      kernel.close();
    }
  });
}

/** The steps of all set-ups; what two have in common once. */
function stepsOf(setups: State['setups']): Step[] {
  const steps = new Map<string, Step>();
  for (const setup of Object.values(setups)) {
    for (const step of planSteps(setup)) if (!steps.has(stepKey(step))) steps.set(stepKey(step), step);
  }
  return [...steps.values()];
}

/** What is up with what is wanted besides. */
function join(present: Setup | undefined, wanted: WantedSetup, kernel: StepKernel, method: Method): Setup {
  if (present === undefined) return { ...wanted, tunnel: settle(wanted, kernel) };
  const same =
    present.device === wanted.device &&
    (wanted.tunnel === undefined ||
      JSON.stringify({ ...present.tunnel, ...definedOf(wanted.tunnel) }) === JSON.stringify(present.tunnel));
  if (!same) {
    throw new SetupError(
      `method ${method} is up with other options: 'ballast realserver down --method ${method}' first, or give the same`,
    );
  }
  return { ...present, virtual: [...new Set([...present.virtual, ...wanted.virtual])] };
}

function definedOf({ by, device, ...rest }: WantedTunnel): Partial<Tunnel> {
  return { ...rest, ...(by !== undefined && { by }), ...(device !== undefined && { device }) };
}

/** The kernel's own devices where it has them, else XDP on the one device that tunnels can come in by. */
function settle(wanted: WantedSetup, kernel: StepKernel): Tunnel | undefined {
  const { tunnel } = wanted;
  if (tunnel === undefined) return undefined;
  const byKernel: Tunnel = { ...tunnel, by: 'kernel', device: '' };
  // Who names a device speaks of XDP's.
  if (tunnel.by === 'kernel') return byKernel;
  if (tunnel.by === undefined && tunnel.device === undefined) {
    if (kernel.canDecapsulate(planSteps({ ...wanted, tunnel: byKernel }))) return byKernel;
  }
  return { ...tunnel, by: 'xdp', device: tunnel.device ?? onlyDevice(kernel) };
}

function onlyDevice(kernel: StepKernel): string {
  const names = kernel.ethernetDevices().map((link) => link.name);
  if (names.length === 1) return names[0];
  const choice = names.length === 0 ? 'none is up' : `there are ${names.join(', ')}`;
  throw new SetupError(`which device do tunnels come in by? Name it with --dev: ${choice}`);
}
