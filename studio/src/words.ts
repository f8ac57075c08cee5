// Words of a prompt that the model knows, and those that it has never seen.
const QUOTED = /["“”„«»‟][^"“”„«»‟]*["“”„«»‟]?/gu;
const WORD = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu;

/** Words outside of quotation marks that are not in the vocabulary, each once. */
export function unseen(prompt: string, vocabulary: ReadonlySet<string>): string[] {
  const words = prompt.normalize("NFKC").toLowerCase().replace(QUOTED, " ").match(WORD) ?? [];
  return [...new Set(words)].filter((word) => /\p{L}/u.test(word) && !vocabulary.has(word));
}

/** The word that is being written before the caret, and where it begins. */
export function unfinished(text: string, caret: number): { start: number; word: string } {
  const before = text.slice(0, caret);
  const quotes = before.match(/["“”„«»‟]/gu)?.length ?? 0;
  const word = quotes % 2 ? "" : (/[\p{L}\p{N}'’-]+$/u.exec(before)?.[0] ?? "");
  return { start: caret - word.length, word };
}

/** Words that begin as `word` does, the shorter ones first. */
export function endings(word: string, vocabulary: readonly string[], most: number): string[] {
  const begun = word.toLowerCase();
  if (begun.length < 2) return [];
  const found = vocabulary.filter((one) => one.startsWith(begun) && one !== begun);
  return found.sort((a, b) => a.length - b.length || (a < b ? -1 : 1)).slice(0, most);
}
