// Where the prompt is written, with words that the model knows.
import { useComputed, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { settings } from "./library";
import { change, model, order } from "./order";
import { endings, unfinished, unseen } from "./words";

const OFFERED = 6; // words that are offered at once
const SHOWN = 3; // examples that are shown at once

export function Prompt() {
  const field = useRef<HTMLTextAreaElement>(null);
  const caret = useSignal<number | null>(null); // where words are offered; null: nowhere
  const picked = useSignal(-1);
  const vocabulary = model.value?.vocabulary ?? [];
  const { prompt } = order.value;
  const { start, word } = caret.value === null ? { start: 0, word: "" } : unfinished(prompt, caret.value);
  const offered = endings(word, vocabulary, OFFERED);
  const unknown = useComputed(() => {
    const words = model.value?.vocabulary ?? [];
    return words.length ? unseen(order.value.prompt, new Set(words)) : [];
  }).value.filter((one) => one !== word.toLowerCase());

  function take(choice: string) {
    const end = caret.value!;
    change({ prompt: `${prompt.slice(0, start)}${choice} ${prompt.slice(end).trimStart()}` });
    caret.value = null;
    requestAnimationFrame(() => {
      field.current!.focus();
      field.current!.setSelectionRange(start + choice.length + 1, start + choice.length + 1);
    });
  }

  function press(event: KeyboardEvent) {
    if (!offered.length) return;
    if (event.key === "ArrowDown") picked.value = (picked.value + 1) % offered.length;
    else if (event.key === "ArrowUp") picked.value = (picked.value + offered.length) % (offered.length + 1) - 1;
    else if (event.key === "Escape") caret.value = null;
    else if (event.key === "Enter" && picked.value >= 0 && !event.ctrlKey && !event.metaKey) take(offered[picked.value]!);
    else return;
    event.preventDefault();
  }

  return (
    <div class="prompt">
      <label for="prompt">What is to be seen and heard?</label>
      <textarea
        id="prompt"
        ref={field}
        rows={4}
        maxLength={settings.value?.longest_prompt}
        value={prompt}
        placeholder={model.value?.examples[0] ?? "Describe a scene and its sounds"}
        aria-autocomplete="list"
        aria-controls="words"
        aria-activedescendant={picked.value >= 0 && offered.length ? `word-${picked.value}` : undefined}
        aria-describedby="unknown"
        onInput={(event) => {
          change({ prompt: event.currentTarget.value });
          caret.value = event.currentTarget.selectionEnd;
          picked.value = -1;
        }}
        onKeyDown={press}
        onBlur={() => (caret.value = null)}
      />
      <ul id="words" class="words" role="listbox" aria-label="Words that the model knows" hidden={!offered.length}>
        {offered.map((one, index) => (
          <li
            key={one}
            id={`word-${index}`}
            role="option"
            aria-selected={index === picked.value}
            onPointerDown={(event) => {
              event.preventDefault(); // the field keeps its caret
              take(one);
            }}
          >
            {one}
          </li>
        ))}
      </ul>
      <p id="unknown" class="hint" aria-live="polite">
        {unknown.length > 0 && `${model.value!.id} has never seen: ${unknown.slice(0, 8).join(", ")}`}
      </p>
    </div>
  );
}

/** Prompts that the model can do something with. */
export function Examples() {
  const first = useSignal(Math.floor(Math.random() * 100));
  const all = model.value?.examples ?? [];
  if (!all.length) return null;
  const shown = Array.from({ length: Math.min(SHOWN, all.length) }, (_, n) => all[(first.value + n) % all.length]!);
  return (
    <div class="examples" role="group" aria-label="Examples">
      {shown.map((one) => (
        <button type="button" class="example" key={one} title={one} onClick={() => change({ prompt: one })}>
          {one}
        </button>
      ))}
      {all.length > SHOWN && (
        <button type="button" class="quiet" onClick={() => (first.value += SHOWN)}>
          Other examples
        </button>
      )}
    </div>
  );
}
