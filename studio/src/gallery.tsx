// All clips as tiles, the newest first; those that are made show how far they are.
import { useSignal } from "@preact/signals";
import { type Video, local } from "./api";
import { comparing, pick } from "./compare";
import { choose, isActive, line, live, loadMore, more, shown, videos } from "./library";
import { pictureAt } from "./pictures";
import { Waiting } from "./waiting";

export function Gallery() {
  const all = videos.value ?? [];
  const waiting = useSignal(false);
  if (!all.length) return null;

  /** Arrow keys go from tile to tile. */
  function press(event: KeyboardEvent & { currentTarget: HTMLElement }) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const tiles = [...event.currentTarget.querySelectorAll<HTMLElement>("button.tile")];
    const here = tiles.indexOf(document.activeElement as HTMLElement);
    if (step && here >= 0) tiles[here + step]?.focus();
  }

  return (
    <section class="gallery" aria-label="Clips">
      <ul onKeyDown={press}>
        {all.map((video) => (
          <li key={video.id}>
            <Tile video={video} />
          </li>
        ))}
      </ul>
      {more.value && (
        <button
          class="quiet"
          disabled={waiting.value}
          onClick={async () => {
            waiting.value = true;
            await loadMore().finally(() => (waiting.value = false));
          }}
        >
          Older clips
        </button>
      )}
    </section>
  );
}

const WORDS = { queued: "waiting", in_progress: "being made", completed: "", failed: "failed", cancelled: "cancelled" };

function Tile({ video }: { video: Video }) {
  const at = useSignal<number | null>(null); // 0 to 1, where the pointer is
  const [width, height] = video.size.split("x");
  const picture = video.urls.thumbnail ? local(video.urls.thumbnail) : live.value[video.id]?.picture;
  const picking = comparing.value?.length === 1;
  const current = comparing.value ? comparing.value.includes(video.id) : shown.value?.id === video.id;
  const place = line.value?.places[video.id];
  return (
    <button
      class={`tile ${video.status}`}
      aria-current={current}
      aria-label={`${video.prompt}. ${WORDS[video.status] || `${video.seconds} seconds`}`}
      disabled={picking && (video.status !== "completed" || current)}
      title={video.prompt}
      onClick={() => (picking ? pick(video.id) : choose(video.id, true))}
      onPointerMove={(event) => {
        const { left, width: wide } = event.currentTarget.getBoundingClientRect();
        if (event.pointerType === "mouse" && video.urls.spritesheet) at.value = (event.clientX - left) / wide;
      }}
      onPointerLeave={() => (at.value = null)}
    >
      <span class="picture" style={{ aspectRatio: `${width} / ${height}` }}>
        {picture && <img src={picture} alt="" loading="lazy" />}
        {at.value !== null && <span class="scrub" style={pictureAt(video, Math.min(0.999, Math.max(0, at.value)))} />}
        {isActive(video) && <Waiting video={video} />}
        {WORDS[video.status] && (
          <span class="state">{place ? `${place}. in line` : WORDS[video.status]}</span>
        )}
      </span>
    </button>
  );
}
