// The clip that a person is about to ask for: fields of the form, what they would take, and sending them.
import { computed, effect, signal } from "@preact/signals";
import { ApiError, type Option, type Plan, type Recipe, type Video, file, get, post } from "./api";
import { choose, follow, put, settings } from "./library";

export type Slot = "first_frame" | "last_frame" | "audio" | "video";

export type Kind = "image" | "audio" | "video";

/** Files that can be given, with the fields of the server that take them. */
export const SLOTS: Record<Slot, { field: string; label: string; kind: Kind }> = {
  first_frame: { field: "input_reference", label: "First frame", kind: "image" },
  last_frame: { field: "last_frame", label: "Last frame", kind: "image" },
  audio: { field: "audio", label: "Sound", kind: "audio" },
  video: { field: "video", label: "Clip without sound", kind: "video" },
};

export interface Order {
  prompt: string;
  model: string; // "": the default one
  seconds: string; // "" is open, here and below: the server chooses what suits
  size: string;
  seed: string;
  takes: number;
  draft: boolean;
  options: Record<string, string>;
}

/** A finished clip to work on, instead of a new one. */
export interface Base {
  do: "extend" | "retake";
  video: Video;
  from: number;
  to: number;
}

const NEW: Order = { prompt: "", model: "", seconds: "", size: "", seed: "", takes: 1, draft: false, options: {} };
const STORED = "happyhorse-order";
const LATER = 500; // ms without a change after which the server is asked for a plan
const LIGHT = 4 * 2 ** 20; // bytes of files that are sent along with every such question
const SEEDS = 1_000_000; // seeds that are drawn here are short enough to be said aloud

export const order = signal<Order>(stored());
export const files = signal<Partial<Record<Slot, File>>>({});
/** Pictures in between, each with the second at which it is seen. */
export const frames = signal<{ at: string; file: File }[]>([]);
export const base = signal<Base | null>(null);
export const plan = signal<Plan | null>(null);
export const problem = signal<ApiError | null>(null);
export const sending = signal(false);

/** The model that is chosen, once settings are there. */
export const model = computed(() => {
  const all = settings.value?.models ?? [];
  return all.find((one) => one.id === order.value.model) ?? all[0] ?? null;
});
export const size = computed(() => {
  const wanted = order.value.size || model.value?.size;
  return model.value?.sizes.find((one) => one.size === wanted) ?? null;
});
/** Options that have an effect for what is asked for. */
export const options = computed<Option[]>(() =>
  base.value ? [] : (model.value?.options ?? []).filter((option) => !option.upscaling || size.value?.drafts),
);

function stored(): Order {
  try {
    return { ...NEW, ...JSON.parse(sessionStorage.getItem(STORED) ?? "{}") };
  } catch {
    return NEW;
  }
}

effect(() => sessionStorage.setItem(STORED, JSON.stringify(order.value)));

export function change(values: Partial<Order>): void {
  order.value = { ...order.value, ...values };
  problem.value = null;
}

export function give(slot: Slot, given: File | null): void {
  const { [slot]: _, ...others } = files.value;
  files.value = given ? { ...others, [slot]: given } : others;
  problem.value = null;
}

/** Work on a finished clip: go on from its end, or make a part of it anew. */
export function workOn(what: Base["do"], video: Video): void {
  const whole = Number(video.seconds);
  base.value = { do: what, video, from: Math.round(whole * 5) / 20, to: Math.round(whole * 15) / 20 };
  change({ prompt: video.prompt, model: known(video.model), seconds: "", seed: "" });
  document.getElementById("prompt")?.focus();
}

/** Fill the form with what a clip was made from. */
export async function again(video: Video): Promise<void> {
  const { fields, files: given, key_frames } = await get<Recipe>(`studio/videos/${video.id}`);
  const found = Object.entries(given) as [Slot, string][];
  const taken = await Promise.all(found.map(async ([slot, url]) => [slot, await file(url, `${slot} of ${video.id}`)]));
  const { prompt, model: name, seconds, size: wanted, seed, draft, ...others } = fields;
  const between = key_frames.map(async ({ seconds, image }) => ({
    at: String(seconds),
    file: await file(image, `picture at ${seconds} s of ${video.id}`),
  }));
  frames.value = await Promise.all(between);
  base.value = null;
  files.value = Object.fromEntries(taken);
  change({
    prompt: String(prompt),
    model: known(String(name)),
    seconds: seconds === undefined ? "" : String(seconds),
    size: String(wanted),
    seed: String(seed),
    takes: 1,
    draft: Boolean(draft),
    options: Object.fromEntries(Object.entries(others).map(([option, value]) => [option, String(value)])),
  });
}

/** The name of a model if the page can choose it; a name of other services means the default one. */
const known = (name: string): string => (settings.value?.models.some((one) => one.id === name) ? name : "");

/** Begin with the last picture of a clip. */
export async function startFrom(video: Video): Promise<void> {
  base.value = null;
  give("first_frame", await file(video.urls.last_frame!, `end of ${video.id}.png`));
}

function form(seed: string, withFiles = true): FormData {
  const asked = order.value;
  const made = new FormData();
  const set = (name: string, value: string) => value !== "" && made.set(name, value);
  set("prompt", asked.prompt);
  set("model", asked.model);
  set("seed", seed);
  if (base.value) {
    made.set("video[id]", base.value.video.id);
    if (base.value.do === "extend") set("seconds", asked.seconds);
    else made.set("span", `${base.value.from}-${base.value.to}`);
    return made;
  }
  set("seconds", asked.seconds);
  set("size", asked.size);
  if (asked.draft && size.value?.drafts) made.set("draft", "true");
  for (const { name } of options.value) set(name, asked.options[name] ?? "");
  if (!withFiles) return made;
  for (const [slot, given] of givenFiles()) made.set(SLOTS[slot].field, given, given.name);
  for (const { at, file } of givenFrames()) {
    made.append("key_frames[][seconds]", at);
    made.append("key_frames[][image]", file, file.name);
  }
  return made;
}

const givenFiles = () =>
  (Object.entries(files.value) as [Slot, File][]).filter(([slot]) => model.value?.takes.includes(slot));
const givenFrames = () => (model.value?.takes.includes("key_frames") ? frames.value : []);

// What it would take

effect(() => {
  const { prompt } = order.value;
  const all = [...givenFiles().map(([, given]) => given), ...givenFrames().map((frame) => frame.file)];
  const light = all.reduce((sum, given) => sum + given.size, 0) < LIGHT;
  const asked = settings.value && prompt.trim() && !base.value ? form("", light) : null;
  if (!asked) {
    plan.value = null;
    return;
  }
  const stop = new AbortController();
  const timer = setTimeout(async () => {
    try {
      plan.value = await post<Plan>("v1/videos/plan", asked, { signal: stop.signal });
      problem.value = null;
    } catch (error) {
      if (stop.signal.aborted || !(error instanceof ApiError)) return;
      plan.value = null;
      if (error.status === 400) problem.value = error;
    }
  }, LATER);
  return () => {
    clearTimeout(timer);
    stop.abort();
  };
});

// Sending it

const ROUTES = { extend: "v1/videos/extensions", retake: "v1/videos/edits" };

/** Ask for the takes, one after the other, at consecutive seeds; the first one is shown. */
export async function send(): Promise<void> {
  const { takes, seed } = order.value;
  const first = BigInt(seed === "" ? Math.floor(Math.random() * SEEDS) : seed);
  const path = base.value ? ROUTES[base.value.do] : "v1/videos";
  sending.value = true;
  problem.value = null;
  try {
    for (let take = 0; take < takes; take++) {
      const asked = form(takes === 1 && seed === "" ? "" : String(first + BigInt(take)));
      const video = await posted(path, asked, take, takes);
      put(video);
      if (take === 0) choose(video.id);
    }
    base.value = null;
    follow();
    const clips = document.querySelector(".clips")!;
    if (clips.getBoundingClientRect().top > innerHeight / 2) clips.scrollIntoView(); // on a phone
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    problem.value = error;
  } finally {
    sending.value = false;
  }
}

/** One take; where the answer is lost it is asked for again, and the server makes it once. */
async function posted(path: string, asked: FormData, take: number, takes: number): Promise<Video> {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const name = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const once = () => post<Video>(path, asked, { headers: { "Idempotency-Key": name } });
  try {
    return await once().catch((error) => (error.status === 0 ? once() : Promise.reject(error)));
  } catch (error) {
    if (!(error instanceof ApiError) || take === 0) throw error;
    const message = `${take} of ${takes} takes are on their way; the next was refused: ${error.message}`;
    throw new ApiError(error.status, message, error.code, error.param, error.retry);
  }
}
