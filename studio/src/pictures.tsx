// Pictures of a clip from its sprite sheet.
import { type Video, local } from "./api";
import { settings } from "./library";

/** How the sheet of a clip is laid out: rows follow from its number of frames. */
function layout(video: Video) {
  const { columns: most, pictures } = settings.value!.sheet;
  const fps = settings.value!.models.find((one) => one.id === video.model)?.fps ?? settings.value!.models[0]!.fps;
  const count = Math.min(pictures, Math.max(1, Math.round(Number(video.seconds) * fps)));
  const columns = Math.min(most, count);
  return { count, columns, rows: Math.ceil(count / columns) };
}

/** One picture of the sheet as a style; `at` from 0 to 1 is the place in the clip. */
export function pictureAt(video: Video, at: number): Record<string, string> {
  const { count, columns, rows } = layout(video);
  const number = Math.min(count - 1, Math.floor(at * count));
  const [column, row] = [number % columns, Math.floor(number / columns)];
  const share = (index: number, all: number) => `${all > 1 ? (100 * index) / (all - 1) : 0}%`;
  return {
    backgroundImage: `url("${local(video.urls.spritesheet!)}")`,
    backgroundSize: `${100 * columns}% ${100 * rows}%`,
    backgroundPosition: `${share(column, columns)} ${share(row, rows)}`,
  };
}

const SHOWN = 8; // pictures in a strip

/** Pictures of a clip in a row, of which the part from `from` to `to` (0 to 1) stands out. */
export function Strip({ video, from, to }: { video: Video; from: number; to: number }) {
  if (!video.urls.spritesheet) return null;
  const [width, height] = video.size.split("x");
  return (
    <div class="strip" aria-hidden="true">
      {Array.from({ length: SHOWN }, (_, n) => {
        const at = (n + 0.5) / SHOWN;
        const style = { ...pictureAt(video, at), aspectRatio: `${width} / ${height}` };
        return <span key={n} class={at >= from && at <= to ? "in" : ""} style={style} />;
      })}
    </div>
  );
}
