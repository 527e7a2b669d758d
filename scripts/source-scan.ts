// SPDX-License-Identifier: Apache-2.0
// Reads a TypeScript source just well enough to tell which modules it imports and which identifiers it uses: comments,
// strings, templates and regular expressions are told apart from code. Used by scripts/layers.ts.

export interface Token {
  /** `word` is an identifier or keyword, `text` the content of a string, `mark` one character of punctuation. */
  readonly kind: 'word' | 'text' | 'mark';
  readonly value: string;
  readonly line: number;
}

export interface ModuleImport {
  /** The module's specifier; undefined for `import(expression)`, which nobody can check. */
  readonly specifier: string | undefined;
  readonly line: number;
}

/** Words after which a slash begins a regular expression, not a division. */
const BEFORE_REGEX = new Set(['return', 'typeof', 'case', 'in', 'of', 'delete', 'void', 'throw', 'new', 'else', 'do']);

const WORD = /[\p{ID_Start}$_#][\p{ID_Continue}$]*/uy;
const NUMBER = /[0-9](?:[\w.]|[eE][+-])*/y;
const SPACE = /\s+|\/\/[^\n]*|\/\*.*?\*\//sy;
const STRING = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/sy;
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;

/** Code tokens of `source`, in order. Templates yield the code of their substitutions. */
export function scan(source: string): Token[] {
  const tokens: Token[] = [];
  /** For each open `${`, the depth of braces inside it. */
  const templates: number[] = [];
  let position = 0;
  let line = 1;

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = position;
    const found = pattern.exec(source)?.[0];
    if (found !== undefined) advance(found.length);
    return found;
  };
  const advance = (length: number): void => {
    for (const end = position + length; position < end; position++) if (source[position] === '\n') line++;
  };
  const push = (kind: Token['kind'], value: string, at: number): void => {
    tokens.push({ kind, value, line: at });
  };
  /** Skips template text up to its end or the next substitution. */
  const skipTemplate = (): void => {
    while (position < source.length && source[position] !== '`') {
      if (source.startsWith('${', position)) {
        advance(2);
        templates.push(0);
        return;
      }
      advance(source[position] === '\\' ? 2 : 1);
    }
    advance(1);
  };

  while (position < source.length) {
    const at = line;
    if (take(SPACE) !== undefined) continue;
    const word = take(WORD);
    if (word !== undefined) {
      push('word', word, at);
      continue;
    }
    if (take(NUMBER) !== undefined) {
      push('mark', '0', at);
      continue;
    }
    const string = take(STRING);
    if (string !== undefined) {
      push('text', string.slice(1, -1), at);
      continue;
    }
    const mark = source[position];
    if (mark === '/' && slashBeginsRegex(tokens.at(-1)) && take(REGEX) !== undefined) {
      push('mark', '0', at);
      continue;
    }
    advance(1);
    if (mark === '`') {
      push('mark', '`', at);
      skipTemplate();
      continue;
    }
    if (templates.length > 0 && mark === '{') templates[templates.length - 1]++;
    if (templates.length > 0 && mark === '}' && templates[templates.length - 1]-- === 0) {
      templates.pop();
      skipTemplate();
      continue;
    }
    push('mark', mark, at);
  }
  return tokens;
}

/** Modules that the tokens import or re-export, statically or by `import()`. */
export function importsOf(tokens: readonly Token[]): ModuleImport[] {
  const found: ModuleImport[] = [];
  tokens.forEach((token, i) => {
    if (token.kind !== 'word' || isMember(tokens, i)) return;
    const next = tokens[i + 1];
    if (token.value === 'from' && next?.kind === 'text') found.push({ specifier: next.value, line: token.line });
    if (token.value !== 'import') return;
    if (next?.kind === 'text') found.push({ specifier: next.value, line: token.line });
    if (next?.value !== '(') return;
    const argument = tokens[i + 2];
    found.push({ specifier: argument?.kind === 'text' ? argument.value : undefined, line: token.line });
  });
  return found;
}

/** Whether token `i` is the name of a member, as `Date` in `row.Date`. */
export function isMember(tokens: readonly Token[], i: number): boolean {
  return tokens[i - 1]?.value === '.' && tokens[i - 2]?.value !== '.';
}

function slashBeginsRegex(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === 'word') return BEFORE_REGEX.has(before.value);
  return before.kind === 'mark' && !')]}0`'.includes(before.value);
}
