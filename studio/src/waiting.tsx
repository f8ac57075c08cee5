// How far a clip is.
import type { Video } from "./api";
import { line, live } from "./library";
import { duration } from "./text";

/** A bar; a screen reader hears it as such. */
export function Waiting({ video }: { video: Video }) {
  return (
    <span
      class="bar"
      role="progressbar"
      aria-label="Progress"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={video.progress}
    >
      <span style={{ width: `${video.progress}%` }} />
    </span>
  );
}

const STAGES: Record<string, string> = {
  condition: "Reading",
  denoise: "Sampling",
  upscale: "Enlarging",
  decode: "Decoding",
  mux: "Writing",
};

/** The same in words. */
export function progress(video: Video): string {
  if (video.status === "queued") {
    const place = line.value?.places[video.id];
    if (line.value?.workers === 0) return "Waiting: the server has no worker at the moment";
    return place ? `Waiting, number ${place} in line` : "Waiting";
  }
  const told = live.value[video.id];
  if (!told?.stage) return "Beginning";
  const steps = told.stage === "decode" ? "" : `, step ${told.step} of ${told.steps}`;
  const left = told.eta && told.eta >= 1 ? `, about ${duration(told.eta)} left` : "";
  return `${STAGES[told.stage] ?? told.stage}${steps}${left}`;
}
