// The form: what is asked for, what it would take, and what was wrong with it.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Option, Size } from "./api";
import { Drop } from "./drop";
import { settings } from "./library";
import { Examples, Prompt } from "./prompt";
import {
  SLOTS,
  type Slot,
  base,
  change,
  files,
  frames,
  give,
  model,
  options,
  order,
  plan,
  problem,
  send,
  sending,
  size,
} from "./order";
import { Span } from "./span";
import { duration } from "./text";

export function Form() {
  const { prompt, takes } = order.value;
  const ready = prompt.trim() !== "" && !sending.value && settings.value!.makes;
  const noun = base.value ? (base.value.do === "extend" ? "Extend" : "Retake") : "Make";
  const one = base.value ? "" : " clip";

  function submit(event: Event) {
    event.preventDefault();
    if (ready) void send();
  }

  return (
    <form
      class="form"
      aria-label="New clip"
      onSubmit={submit}
      onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit(event)}
    >
      {base.value && <Base />}
      <Prompt />
      {prompt === "" && <Examples />}
      {!base.value && <Files />}
      <div class="row">
        {!base.value && <Shape />}
        {base.value?.do !== "retake" && <Seconds />}
        <Field label="Takes" name="takes">
          <input
            id="takes"
            type="number"
            min={1}
            max={settings.value!.takes}
            value={takes}
            onChange={(event) => {
              const wanted = Math.round(event.currentTarget.valueAsNumber) || 1;
              change({ takes: Math.min(settings.value!.takes, Math.max(1, wanted)) });
              event.currentTarget.value = String(order.value.takes);
            }}
          />
        </Field>
        <Field label="Seed" name="seed">
          <input
            id="seed"
            inputMode="numeric"
            pattern="[0-9]*"
            title="A whole number"
            placeholder="any"
            value={order.value.seed}
            onInput={(event) => change({ seed: event.currentTarget.value.trim() })}
          />
        </Field>
      </div>
      {(options.value.length > 0 || settings.value!.models.length > 1) && <More />}
      {problem.value && (
        <p class="error" role="alert">
          {problem.value.message}
          {problem.value.retry > 0 && ` Try again in ${duration(problem.value.retry)}.`}
        </p>
      )}
      {!settings.value!.makes && <p class="error">This key may look at clips, but not make any.</p>}
      <div class="send">
        <button class="primary" disabled={!ready} title="Ctrl+Enter">
          {sending.value ? "Sending ..." : takes > 1 ? `${noun}${base.value ? ":" : ""} ${takes} takes` : noun + one}
        </button>
        <Estimate />
      </div>
    </form>
  );
}

function Field({ label, name, children }: { label: string; name: string; children: ComponentChildren }) {
  const wrong = problem.value?.param === name;
  return (
    <div class={wrong ? "field wrong" : "field"}>
      <label for={name}>{label}</label>
      {children}
    </div>
  );
}

/** The clip that is worked on. */
function Base() {
  const { do: what, video } = base.value!;
  return (
    <div class="base">
      <strong>{what === "extend" ? "Going on from a clip" : "A part made anew"}</strong>
      <button type="button" class="quiet" onClick={() => (base.value = null)}>
        Make a new clip instead
      </button>
      <p class="hint">{video.prompt}</p>
      {what === "retake" && <Span />}
    </div>
  );
}

function Files() {
  const slots = (Object.keys(SLOTS) as Slot[]).filter((slot) => model.value!.takes.includes(slot));
  if (!slots.length) return null;
  return (
    <Section title="Start from a picture or a sound" open={slots.some((slot) => files.value[slot]) || frames.value.length > 0}>
      <div class="drops">
        {slots.map((slot) => (
          <Drop key={slot} {...SLOTS[slot]} given={files.value[slot]} give={(file) => give(slot, file)} />
        ))}
        {model.value!.takes.includes("key_frames") && <Between />}
      </div>
    </Section>
  );
}

/** Pictures to be seen at moments of the clip, and a place for one more. */
function Between() {
  const change = (index: number, ...frame: { at: string; file: File }[]) => {
    frames.value = frames.value.toSpliced(index, 1, ...frame);
    problem.value = null;
  };
  const all = frames.value;
  return (
    <>
      {all.map(({ at, file }, index) => (
        <div key={file}>
          <Drop label="Picture in between" kind="image" given={file} give={() => change(index)} />
          <label class="at">
            at
            <input
              type="number"
              min={0}
              step={0.1}
              value={at}
              aria-label={`Second of ${file.name}`}
              onInput={(event) => change(index, { at: event.currentTarget.value, file })}
            />
            s
          </label>
        </div>
      ))}
      <Drop
        label="Picture in between"
        kind="image"
        give={(file) => {
          const half = Number(order.value.seconds || model.value!.seconds.usual) / 2;
          if (file) change(all.length, { at: half.toFixed(1), file });
        }}
      />
    </>
  );
}

/** A part that is folded until someone, or `open`, unfolds it. */
function Section({ title, open, children }: { title: string; open: boolean; children: ComponentChildren }) {
  const unfolded = useSignal(open);
  useEffect(() => {
    if (open) unfolded.value = true;
  }, [open]);
  return (
    <details open={unfolded.value} onToggle={(event) => (unfolded.value = event.currentTarget.open)}>
      <summary>{title}</summary>
      {children}
    </details>
  );
}

function Shape() {
  const named = new Set(model.value!.sizes.map((one) => one.name)).size > 1;
  const label = (one: Size) => `${one.ratio}${named ? ` ${one.name}` : ""}, ${one.size.replace("x", " x ")}`;
  return (
    <Field label="Shape" name="size">
      <select id="size" value={order.value.size} onChange={(event) => change({ size: event.currentTarget.value })}>
        <option value="">as it suits</option>
        {model.value!.sizes.map((one) => (
          <option key={one.size} value={one.size}>
            {label(one)}
          </option>
        ))}
      </select>
    </Field>
  );
}

function Seconds() {
  const { least, most, usual, step } = model.value!.seconds;
  return (
    <Field label="Seconds" name="seconds">
      <input
        id="seconds"
        type="number"
        min={least}
        max={most}
        step={step}
        placeholder={String(usual)}
        title="Left open, as long as suits what is said and given"
        value={order.value.seconds}
        onInput={(event) => change({ seconds: event.currentTarget.value })}
      />
    </Field>
  );
}

function More() {
  const models = settings.value!.models;
  return (
    <Section title="More settings" open={options.value.some(({ name }) => name === problem.value?.param)}>
      <div class="row">
        {models.length > 1 && (
          <Field label="Model" name="model">
            <select
              id="model"
              value={model.value!.id}
              onChange={(event) => change({ model: event.currentTarget.value, size: "", options: {} })}
            >
              {models.map(({ id }) => (
                <option key={id}>{id}</option>
              ))}
            </select>
          </Field>
        )}
        {options.value.map((option) => (
          <Field key={option.name} label={option.label} name={option.name}>
            <Value option={option} />
          </Field>
        ))}
      </div>
      {size.value?.drafts && !base.value && (
        <label class="check">
          <input
            type="checkbox"
            checked={order.value.draft}
            onChange={(event) => change({ draft: event.currentTarget.checked })}
          />
          Draft only: quick and small, to be enlarged later
        </label>
      )}
    </Section>
  );
}

function Value({ option: { name, range, choices, usual } }: { option: Option }) {
  const value = order.value.options[name] ?? "";
  const set = (event: { currentTarget: { value: string } }) =>
    change({ options: { ...order.value.options, [name]: event.currentTarget.value } });
  if (range)
    return (
      <input
        id={name}
        type="number"
        min={range.least}
        max={range.most}
        step={range.step}
        placeholder={String(range.usual)}
        value={value}
        onInput={set}
      />
    );
  return (
    <select id={name} value={value} onChange={set}>
      <option value="">{usual ?? "as it suits"}</option>
      {choices
        .filter((choice) => choice.value !== usual)
        .map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
    </select>
  );
}

/** What the order would take, by the server's own plan. */
function Estimate() {
  if (!plan.value) return <p class="hint" />;
  const { seconds, clip_seconds, size: made, memory, wait, measured } = plan.value;
  const each = order.value.takes > 1 ? " each" : "";
  return (
    <p class="hint" aria-live="polite">
      {`${clip_seconds.toFixed(1)} s at ${made.replace("x", " x ")}: about ${duration(seconds)} of work${each}`}
      {!measured && " (a guess until a first clip is made)"}
      {wait >= 1 && `, to begin in ${duration(wait)}`}
      {memory && memory.fits && `; ${gigabytes(memory.peak)} of ${gigabytes(memory.free)} GB of memory`}
      {memory?.refusal && <span class="error"> {memory.refusal}</span>}
    </p>
  );
}

const gigabytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
