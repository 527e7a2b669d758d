// SPDX-License-Identifier: Apache-2.0
// Reads the kernel's firewall rules of the calling thread's namespace and makes of them what the engine walks. Called by
// rule-follower.ts. Throws SysError, NetlinkFormatError, SlowReadError; whoever calls keeps what it had.

import { type NftRules, readNftRules } from '../../linux/netfilter/nft-reader.ts';
import type { XtReading } from '../../linux/netfilter/xt-reader.ts';
import { couldMark } from './nft-effects.ts';
import { draftNft } from './nft-rules.ts';
import { type KernelRules, NO_KERNEL_RULES, settle } from './settle.ts';
import { draftXt } from './xt-rules.ts';
import { targetEffects } from './xt-steps.ts';

export interface KernelReading extends KernelRules {
  /** The time after which elements of sets will have expired, which the kernel does not tell of; or Infinity. */
  readonly nextExpiryMs: number;
}

export interface ReadOptions {
  /** What the reading may take. */
  readonly mostMs: number;
  /** Somebody else gives marks too, which rules that drop packets take away: read rules although none of them marks. */
  readonly always: boolean;
}

/** @param legacy - the tables of iptables-legacy, read just now. */
export function readKernelRules(legacy: readonly XtReading[], { mostMs, always }: ReadOptions): KernelReading {
  return readNftRules(mostMs, (rules) => compileRules(rules, legacy, always));
}

/** {@link readKernelRules} of what was read. */
export function compileRules(rules: NftRules, legacy: readonly XtReading[], always: boolean): KernelReading {
  // Most machines have firewalls and no marks: what such a firewall says, and its sets hold, is nobody's business then.
  const marks = always || rules.rules.some(couldMark) || legacy.some(couldTableMark);
  if (!marks) return { ...NO_KERNEL_RULES, nextExpiryMs: Number.POSITIVE_INFINITY };
  const nft = draftNft(rules);
  const xt = draftXt(legacy, nft.chains.length);
  const draft = { chains: [...nft.chains, ...xt.chains], bases: [...nft.bases, ...xt.bases] };
  return { ...settle(draft), nextExpiryMs: nft.nextExpiryMs };
}

function couldTableMark({ table }: XtReading): boolean {
  if (table === undefined) return true;
  return table.chains.some(({ rules }) =>
    rules.some(({ target }) => target.name !== '' && targetEffects(target).marks),
  );
}
