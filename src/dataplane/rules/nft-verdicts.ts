// SPDX-License-Identifier: Apache-2.0
// nftables' verdicts and maps as those of the engine. Throws UnreadableError. Pure.

import {
  NF_ACCEPT,
  NF_DROP,
  NF_QUEUE,
  NF_VERDICT_MASK,
  NFT_BREAK,
  NFT_CONTINUE,
  NFT_GOTO,
  NFT_JUMP,
  NFT_RETURN,
  type NftVerdict,
} from '../../linux/netfilter/nft-expression.ts';
import type { NftElement } from '../../linux/netfilter/nft-message.ts';
import { countRanges } from '../../lvs/classify/ranges.ts';
import {
  ACCEPT,
  BREAK,
  CONTINUE,
  DISPATCH,
  DROP,
  type Field,
  GOTO,
  JUMP,
  MAP,
  RETURN,
  type Step,
} from '../../lvs/classify/rules.ts';
import { UnreadableError } from './draft.ts';
import { bitsAt, type MapValue, swapped } from './nft-registers.ts';
import type { SetContent } from './nft-sets.ts';

/** The chain of that name in the rule's table, or undefined. */
export type ChainOf = (name: string) => number | undefined;

/** The verdict and the chain that it leads to. */
export function readVerdict(verdict: NftVerdict, chainOf: ChainOf): [verdict: number, target: number] {
  switch (verdict.code) {
    case NF_ACCEPT:
      return [ACCEPT, 0];
    case NF_DROP:
      return [DROP, 0];
    case NFT_CONTINUE:
      return [CONTINUE, 0];
    case NFT_BREAK:
      return [BREAK, 0];
    case NFT_RETURN:
      return [RETURN, 0];
    case NFT_JUMP:
    case NFT_GOTO: {
      const chain = chainOf(verdict.chain);
      if (chain === undefined) throw new UnreadableError(`chain '${verdict.chain}' is not there`);
      return [verdict.code === NFT_JUMP ? JUMP : GOTO, chain];
    }
    default:
      throw new UnreadableError((verdict.code & NF_VERDICT_MASK) === NF_QUEUE ? 'queue' : `verdict ${verdict.code}`);
  }
}

/** A map of verdicts. */
export function dispatchStep(field: Field, content: SetContent, chainOf: ChainOf): Step {
  const { ranges, elements } = content;
  const read = ({ verdict }: NftElement): [number, number] => {
    if (verdict === undefined) throw new UnreadableError('a map without verdict');
    return readVerdict(verdict, chainOf);
  };
  const found = elements.map(read);
  const [otherwise, otherwiseTarget] = content.otherwise === undefined ? [BREAK, 0] : read(content.otherwise);
  return {
    kind: DISPATCH,
    field,
    ranges,
    verdicts: Uint8Array.from(found, ([verdict]) => verdict),
    targets: Int32Array.from(found, ([, target]) => target),
    otherwise,
    otherwiseTarget,
  };
}

/** A map of marks, as a register has it until it is written. */
export function mapValue(name: string, field: Field, content: SetContent): MapValue {
  const markOf = ({ value }: NftElement): number => {
    if (value?.length !== 4) throw new UnreadableError(`map '${name}' of something else than marks`);
    return swapped(bitsAt(value, 0)) >>> 0;
  };
  const otherwise = content.otherwise === undefined ? -1 : markOf(content.otherwise);
  return { field, content, values: content.elements.map(markOf), otherwise };
}

export function mapStep({ field, content, values, otherwise }: MapValue, toConnection: boolean): Step {
  const { ranges } = content;
  if (countRanges(ranges) !== values.length) throw new UnreadableError('a map of another size than its keys');
  return { kind: MAP, toConnection, field, ranges, values: Uint32Array.from(values), otherwise };
}
