// The clips of this server as the page knows them, and how it keeps up with those that are being made.
import { computed, signal } from "@preact/signals";
import { ApiError, type Line, type Page, type Settings, type Video, call, get, post } from "./api";
import { events } from "./events";

const PAGE = 24; // clips in one page of the history
const MOST = 100; // clips in one answer of the server
const EVERY = 2000; // ms between two looks at the clips that are not followed
const STREAMS = 2; // clips that are followed by events; a browser has six connections to a server
const SELDOM = 10; // looks between two of a page on which nothing happens

/** What the events of a clip say beside the clip itself. */
export interface Live {
  stage: string;
  step: number;
  steps: number;
  eta: number | null;
  picture?: string;
}

export const settings = signal<Settings | null>(null);
export const videos = signal<Video[] | null>(null); // the newest first; null until the server has answered
export const more = signal(false);
export const live = signal<Record<string, Live>>({});
export const line = signal<Line | null>(null);
export const unreachable = signal(false);
export const said = signal(""); // what a screen reader is told

export const chosen = signal(location.hash.slice(1));
export const shown = computed(() => {
  const all = videos.value ?? [];
  return all.find((video) => video.id === chosen.value) ?? all[0] ?? null;
});
addEventListener("hashchange", () => (chosen.value = location.hash.slice(1)));

export const isActive = (video: Video): boolean => video.status === "queued" || video.status === "in_progress";

const isFresh = (video: Video): boolean => Date.now() / 1000 - video.created_at < 10;

/** Whether the clip that is looked at begins to play: it does where a person chose it. */
export const plays = signal(false);

export function choose(id: string, play = false): void {
  chosen.value = id;
  plays.value = play;
  history.replaceState(null, "", `#${id}`);
}

/** Take the newest state of clips in, wherever they stand; new ones come to the front. */
export function put(...fresh: Video[]): void {
  const byId = new Map((videos.value ?? []).map((video) => [video.id, video]));
  for (const video of fresh) byId.set(video.id, renewed(byId.get(video.id), video));
  videos.value = [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
}

/** The clip `fresh` with the addresses that `old` had, while they hold: a player keeps its place by them. */
function renewed(old: Video | undefined, fresh: Video): Video {
  if (old && !isActive(old) && isActive(fresh)) return old; // an answer that was overtaken
  if (old && isActive(old) && !isActive(fresh)) said.value = `${fresh.prompt}: ${fresh.status}`;
  const urls = { ...fresh.urls };
  for (const [variant, address] of Object.entries(old?.urls ?? {}) as [keyof typeof urls, string][]) {
    const [before, now] = [new URL(address), urls[variant] && new URL(urls[variant])];
    const holds = Number(before.searchParams.get("until")) * 1000 > Date.now() + 60_000;
    if (now && now.pathname === before.pathname && holds) urls[variant] = address;
  }
  return { ...fresh, urls };
}

const gone = new Set<string>();

function drop(id: string): void {
  gone.add(id);
  videos.value = (videos.value ?? []).filter((video) => video.id !== id);
}

/** Look at the newest clips, at least as far back as the oldest that is being made. */
export async function refresh(): Promise<void> {
  const seen = videos.value ?? [];
  const limit = Math.min(MOST, Math.max(PAGE, seen.findLastIndex(isActive) + 1));
  const page = await get<Page>(`v1/videos?limit=${limit}`);
  const known = videos.value ?? [];
  // What was posted while the answer was on its way is not in it.
  const posted = known.filter((video) => video.id > (page.data[0]?.id ?? "") && isFresh(video));
  const older = page.has_more ? known.filter((video) => video.id < page.last_id!) : [];
  const before = new Map(known.map((video) => [video.id, video]));
  const now = page.data.filter((video) => !gone.has(video.id));
  videos.value = [...posted, ...now.map((video) => renewed(before.get(video.id), video)), ...older];
  if (older.length === 0) more.value = page.has_more;
}

/** The next page of the history. */
export async function loadMore(): Promise<void> {
  const page = await get<Page>(`v1/videos?limit=${PAGE}&after=${videos.value!.at(-1)!.id}`);
  put(...page.data);
  more.value = page.has_more;
}

export async function cancel(id: string): Promise<void> {
  put(await post<Video>(`v1/videos/${id}/cancel`));
}

export async function remove(id: string): Promise<void> {
  await call(`v1/videos/${id}`, { method: "DELETE" }).catch((error) => {
    if (error.status !== 404) throw error; // it is gone already
  });
  drop(id);
}

/** Make the large clip of a draft. */
export async function promote(id: string): Promise<void> {
  const video = await post<Video>(`v1/videos/${id}/promote`);
  put(video);
  choose(video.id);
}

// Keeping up

const streams = new Map<string, AbortController>();
let looks = 0;
let looking = false;
let timer: ReturnType<typeof setInterval> | undefined;

/** Learn what the server can do, then keep up with it. Throws ApiError as `call` does. */
export async function begin(): Promise<void> {
  settings.value = await get<Settings>("studio/settings");
  await refresh();
  timer ??= setInterval(look, EVERY);
  document.onvisibilitychange = look;
  void look();
}

async function look(): Promise<void> {
  if (document.hidden || looking) return;
  looking = true;
  follow();
  const active = (videos.value ?? []).filter(isActive);
  const unseen = active.filter((video) => !streams.has(video.id));
  try {
    if (unseen.length > 0 || unreachable.value || looks++ % SELDOM === 0) await refresh();
    line.value = active.some((video) => video.status === "queued") ? await get<Line>("studio/queue") : null;
    unreachable.value = false;
  } catch (error) {
    unreachable.value = error instanceof ApiError && error.status === 0;
  }
  looking = false;
  follow();
}

/** Listen to the clips that are being made, then to those that come next, the oldest first. */
export function follow(): void {
  const active = (videos.value ?? []).filter(isActive).reverse();
  const wanted = active.toSorted((a, b) => Number(a.status === "queued") - Number(b.status === "queued"));
  const ids = wanted.slice(0, STREAMS).map((video) => video.id);
  for (const [id, stream] of streams) if (!ids.includes(id)) stream.abort();
  for (const id of ids) if (!streams.has(id)) void listen(id);
}

async function listen(id: string): Promise<void> {
  const stream = new AbortController();
  streams.set(id, stream);
  try {
    for await (const { event, data } of events(`v1/videos/${id}/events`, stream.signal)) hear(id, event, data);
  } catch {
    // it is tried again at the next look
  } finally {
    if (streams.get(id) === stream) streams.delete(id);
  }
}

function hear(id: string, event: string, data: any): void {
  if (event === "status") {
    const { stage, step, steps, eta, ...video } = data;
    live.value = { ...live.value, [id]: { ...live.value[id], stage, step, steps, eta } };
    put(video);
    if (!isActive(video)) follow();
  } else if (event === "picture" && live.value[id]) {
    live.value = { ...live.value, [id]: { ...live.value[id], picture: data.image } };
  } else if (event === "done" && data.status === "deleted") drop(id);
}
