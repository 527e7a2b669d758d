// SPDX-License-Identifier: Apache-2.0
// Reads the relocatable ELF file that clang writes for the BPF target: one program section, one section of map
// definitions as bpf/kernel.h declares them, a license. Called by bpf/build.ts; whatever it does not know, it refuses.

import type { BpfMapDefinition, BpfObject, BpfRelocation } from '../src/linux/bpf-object.ts';

const EM_BPF = 247;
const SHT_SYMTAB = 2;
const SHT_REL = 9;
const STT_OBJECT = 1;
const STT_FUNC = 2;
const R_BPF_64_64 = 1;

const SECTION_HEADER_SIZE = 64;
const SYMBOL_SIZE = 24;
const RELOCATION_SIZE = 16;
const MAP_DEFINITION_SIZE = 20;

interface Section {
  readonly name: string;
  readonly type: number;
  readonly start: number;
  readonly size: number;
  /** Section index that it speaks of: the relocated section of a SHT_REL. */
  readonly info: number;
  /** Section index of its strings. */
  readonly link: number;
}

interface Symbol {
  readonly name: string;
  readonly type: number;
  readonly section: number;
  readonly value: number;
}

/** The program in section `program` of `file`, its maps in the order of their definition. */
export function readElf(file: Uint8Array, program: string): BpfObject {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.byteLength < 64 || view.getUint32(0) !== 0x7f454c46 || view.getUint16(18, true) !== EM_BPF) {
    throw new SyntaxError('not an ELF file for BPF');
  }
  const sections = readSections(view);
  const symbols = readSymbols(view, sections);
  const sectionIndex = (name: string): number => {
    const index = sections.findIndex((s) => s.name === name);
    if (index === -1) throw new SyntaxError(`the object has no section '${name}'`);
    return index;
  };

  const code = sectionIndex(program);
  const entry = symbols.find((s) => s.type === STT_FUNC && s.section === code);
  if (entry === undefined || entry.value !== 0)
    throw new SyntaxError(`section '${program}' must begin with its function`);

  const maps = sectionIndex('maps');
  const license = sections[sectionIndex('license')];
  return {
    name: entry.name,
    license: text(view, license.start),
    maps: readMaps(view, sections[maps], symbols, maps),
    relocations: readRelocations(view, sections, symbols, code, maps),
    instructions: Buffer.from(file.subarray(sections[code].start, sections[code].start + sections[code].size)).toString(
      'hex',
    ),
  };
}

function readSections(view: DataView): Section[] {
  const at = Number(view.getBigUint64(40, true));
  const count = view.getUint16(60, true);
  const header = (i: number): number => at + i * SECTION_HEADER_SIZE;
  const names = Number(view.getBigUint64(header(view.getUint16(62, true)) + 24, true));
  return Array.from({ length: count }, (_, i) => ({
    name: text(view, names + view.getUint32(header(i), true)),
    type: view.getUint32(header(i) + 4, true),
    start: Number(view.getBigUint64(header(i) + 24, true)),
    size: Number(view.getBigUint64(header(i) + 32, true)),
    link: view.getUint32(header(i) + 40, true),
    info: view.getUint32(header(i) + 44, true),
  }));
}

function readSymbols(view: DataView, sections: readonly Section[]): Symbol[] {
  const table = sections.find((s) => s.type === SHT_SYMTAB);
  if (table === undefined) throw new SyntaxError('the object has no symbols');
  const names = sections[table.link].start;
  return Array.from({ length: table.size / SYMBOL_SIZE }, (_, i) => {
    const at = table.start + i * SYMBOL_SIZE;
    return {
      name: text(view, names + view.getUint32(at, true)),
      type: view.getUint8(at + 4) & 15,
      section: view.getUint16(at + 6, true),
      value: Number(view.getBigUint64(at + 8, true)),
    };
  });
}

function readMaps(
  view: DataView,
  section: Section,
  symbols: readonly Symbol[],
  sectionIndex: number,
): BpfMapDefinition[] {
  const named = symbols.filter((s) => s.type === STT_OBJECT && s.section === sectionIndex);
  if (named.length * MAP_DEFINITION_SIZE !== section.size) {
    throw new SyntaxError(`section 'maps' holds something that is not a map definition`);
  }
  return named
    .sort((a, b) => a.value - b.value)
    .map(({ name, value }) => {
      const word = (i: number): number => view.getUint32(section.start + value + 4 * i, true);
      return { name, type: word(0), keySize: word(1), valueSize: word(2), maxEntries: word(3), flags: word(4) };
    });
}

function readRelocations(
  view: DataView,
  sections: readonly Section[],
  symbols: readonly Symbol[],
  code: number,
  maps: number,
): BpfRelocation[] {
  const table = sections.find((s) => s.type === SHT_REL && s.info === code);
  if (table === undefined) return [];
  return Array.from({ length: table.size / RELOCATION_SIZE }, (_, i) => {
    const at = table.start + i * RELOCATION_SIZE;
    const symbol = symbols[view.getUint32(at + 12, true)];
    if (view.getUint32(at + 8, true) !== R_BPF_64_64 || symbol.section !== maps) {
      throw new SyntaxError(`the program refers to '${symbol.name}', which is not a map`);
    }
    return { instruction: Number(view.getBigUint64(at, true)) / 8, map: symbol.name };
  });
}

function text(view: DataView, at: number): string {
  let end = at;
  while (view.getUint8(end) !== 0) end++;
  return Buffer.from(view.buffer, view.byteOffset + at, end - at).toString('latin1');
}
