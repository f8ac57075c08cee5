// The server's routes as functions. Paths are relative, so that the page works under a path of a proxy too.
import { signal } from "@preact/signals";

export interface Range {
  least: number;
  most: number;
  usual: number;
  step: number;
}

export interface Option {
  name: string;
  label: string;
  range: Range | null;
  choices: { value: string; label: string }[];
  usual: string | null;
  upscaling: boolean;
}

export interface Size {
  size: string;
  ratio: string;
  name: string;
  drafts: boolean;
}

export interface ModelSettings {
  id: string;
  fps: number;
  seconds: Range;
  size: string;
  sizes: Size[];
  options: Option[];
  takes: string[];
  examples: string[];
  vocabulary: string[];
}

export interface Settings {
  version: string;
  models: ModelSettings[];
  makes: boolean;
  longest_prompt: number;
  takes: number;
  picture_bytes: number;
  media_bytes: number;
  sheet: { columns: number; pictures: number };
}

export type Variant = "video" | "thumbnail" | "spritesheet" | "preview" | "last_frame";

export interface Video {
  id: string;
  model: string;
  status: "queued" | "in_progress" | "completed" | "failed" | "cancelled";
  progress: number;
  created_at: number;
  completed_at: number | null;
  expires_at: number | null;
  prompt: string;
  size: string;
  seconds: string;
  remixed_from_video_id: string | null;
  error: { code: string; message: string } | null;
  seed: number;
  draft: boolean;
  notes: string[];
  urls: Partial<Record<Variant, string>>;
}

export interface Page {
  data: Video[];
  last_id: string | null;
  has_more: boolean;
}

export interface Plan {
  size: string;
  clip_seconds: number;
  steps: number;
  seconds: number;
  measured: boolean;
  memory: { device: string; free: number; peak: number; fits: boolean; refusal: string | null } | null;
  wait: number;
}

export interface Line {
  workers: number;
  waiting: number;
  places: Record<string, number>;
}

export interface Recipe {
  fields: Record<string, unknown>;
  files: Record<string, string>;
  key_frames: { seconds: number; image: string }[];
}

/** What the server refused, in its own sentence; status 0 where it could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string = "",
    readonly param: string | null = null,
    readonly retry: number = 0,
  ) {
    super(message);
  }
}

const KEY = "happyhorse-key";
export const key = signal(sessionStorage.getItem(KEY) ?? "");
/** The sentence with which the server asked for a key; "" while it did not. */
export const locked = signal("");

export function keepKey(text: string): void {
  key.value = text.trim();
  if (key.value) sessionStorage.setItem(KEY, key.value);
  else sessionStorage.removeItem(KEY);
}

/** The answer to a request. Throws ApiError, and AbortError as fetch does. */
export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (key.value) headers.set("Authorization", `Bearer ${key.value}`);
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, "The server cannot be reached.", "unreachable");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  const told = body?.error ?? {};
  const message = told.message ?? `The server answered ${answer.status}.`;
  if (answer.status === 401) locked.value = message;
  throw new ApiError(answer.status, message, told.code, told.param, Number(answer.headers.get("retry-after")) || 0);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await call(path, { signal })).json();
}

export async function post<T>(path: string, body?: FormData, init: RequestInit = {}): Promise<T> {
  return (await call(path, { ...init, method: "POST", body })).json();
}

/** A signed address as seen from this page, whatever name the server has for itself. */
export function local(address: string): string {
  const { pathname, search } = new URL(address);
  return pathname + search;
}

/** A file behind a signed address, to be given again. */
export async function file(address: string, name: string): Promise<File> {
  const answer = await call(local(address));
  const content = await answer.blob();
  return new File([content], name, { type: content.type });
}
