// SPDX-License-Identifier: Apache-2.0
// Reads an argument vector the way libpopt 1.19 does: bundles (`-Ln`), attached values (`-w5`, `-w=5`, `--weight=5`),
// optional values, `--`, words left over. Knows nothing of ipvsadm's own rules; arguments.ts gives it the table.
// Every rule here was found by running the real program, see oracle.test.ts.

/** Whether an option takes a value: `optional` takes the next word only when that does not begin with a dash. */
export type PoptValue = 'none' | 'required' | 'optional';

export interface PoptOption<Name extends string> {
  readonly name: Name;
  readonly long: string;
  readonly short?: string;
  readonly value: PoptValue;
}

/** An option with its value, or why the words cannot be read any further. */
export type PoptItem<Name extends string> =
  | { readonly kind: 'option'; readonly name: Name; readonly value: string | undefined }
  | { readonly kind: 'error'; readonly reason: string };

/** One pass over the words. Call {@link next} until it returns undefined, then take {@link leftovers}. */
export class PoptReader<Name extends string> {
  /** Words that are not options, in order, as far as the reader has come. */
  readonly leftovers: string[] = [];
  readonly #words: readonly string[];
  readonly #long: ReadonlyMap<string, PoptOption<Name>>;
  readonly #short: ReadonlyMap<string, PoptOption<Name>>;
  #at = 0;
  #bundle = '';

  constructor(options: readonly PoptOption<Name>[], words: readonly string[]) {
    this.#words = words;
    this.#long = new Map(options.map((option) => [option.long, option]));
    this.#short = new Map(
      options.flatMap((option) => [...(option.short ?? '')].map((letter) => [letter, option] as const)),
    );
  }

  /** The word that was read last, as error messages quote it. */
  get lastWord(): string {
    return this.#words[this.#at - 1] ?? '';
  }

  /** The next option or the error that ends the reading; undefined at the end of the words. */
  next(): PoptItem<Name> | undefined {
    if (this.#bundle !== '') return this.#letter();
    while (this.#at < this.#words.length) {
      const word = this.#words[this.#at++];
      if (word === '--') {
        this.leftovers.push(...this.#words.slice(this.#at));
        this.#at = this.#words.length;
      } else if (word.startsWith('--')) {
        return this.#longOption(word.slice(2));
      } else if (word.startsWith('-') && word.length > 1) {
        this.#bundle = word.slice(1);
        return this.#letter();
      } else {
        this.leftovers.push(word);
      }
    }
    return undefined;
  }

  #longOption(text: string): PoptItem<Name> {
    const equals = text.indexOf('=');
    const option = this.#long.get(equals === -1 ? text : text.slice(0, equals));
    if (option === undefined) return { kind: 'error', reason: 'unknown option' };
    return this.#value(option, equals === -1 ? undefined : text.slice(equals + 1));
  }

  #letter(): PoptItem<Name> {
    const option = this.#short.get(this.#bundle[0]);
    if (option === undefined) {
      this.#bundle = '';
      return { kind: 'error', reason: 'unknown option' };
    }
    const rest = this.#bundle.slice(1);
    if (option.value === 'none' && !rest.startsWith('=')) {
      this.#bundle = rest;
      return { kind: 'option', name: option.name, value: undefined };
    }
    this.#bundle = '';
    return this.#value(option, rest === '' ? undefined : rest.replace(/^=/, ''));
  }

  #value(option: PoptOption<Name>, attached: string | undefined): PoptItem<Name> {
    if (option.value === 'none') {
      if (attached !== undefined) return { kind: 'error', reason: 'option does not take an argument' };
      return { kind: 'option', name: option.name, value: undefined };
    }
    if (attached !== undefined) return { kind: 'option', name: option.name, value: attached };
    const following = this.#words[this.#at];
    if (option.value === 'optional' && (following === undefined || following.startsWith('-'))) {
      return { kind: 'option', name: option.name, value: undefined };
    }
    if (following === undefined) return { kind: 'error', reason: 'missing argument' };
    this.#at++;
    return { kind: 'option', name: option.name, value: following };
  }
}
