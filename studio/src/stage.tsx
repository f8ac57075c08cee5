// The clip that is looked at: played when it is there, followed while it is made; and what can be done with it.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, type Video, local } from "./api";
import { comparing, pick } from "./compare";
import { cancel, isActive, live, plays, promote, remove, settings, videos } from "./library";
import { again, startFrom, workOn } from "./order";
import { moment } from "./text";
import { Waiting, progress } from "./waiting";

const SURE = 4000; // ms for which a second click deletes

export function Stage({ video }: { video: Video }) {
  const wrong = useSignal("");
  useEffect(() => {
    wrong.value = "";
  }, [video.id]);

  /** A button that does something which may fail. */
  const act = (action: () => Promise<unknown> | void) => async () => {
    wrong.value = "";
    try {
      await action();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      wrong.value = error.message;
    }
  };

  return (
    <section class="stage" aria-label="Clip">
      <Picture video={video} />
      <div class="told">
        <p class="caption">{video.prompt}</p>
        {video.error && (
          <p class="error" role="alert">
            {video.error.message}
          </p>
        )}
        {video.notes.map((note) => (
          <p class="hint" key={note}>
            {note}
          </p>
        ))}
        {wrong.value && (
          <p class="error" role="alert">
            {wrong.value}
          </p>
        )}
        <Actions video={video} act={act} />
        <p class="facts">
          {[
            `${video.size.replace("x", " x ")}, ${video.seconds} s`,
            `seed ${video.seed}`,
            video.model,
            moment(video.created_at),
            video.expires_at ? `kept until ${moment(video.expires_at)}` : "",
          ]
            .filter(Boolean)
            .join(" · ")}
        </p>
      </div>
    </section>
  );
}

function Picture({ video }: { video: Video }) {
  const [width, height] = video.size.split("x");
  const style = { aspectRatio: `${width} / ${height}`, "--ratio": String(Number(width) / Number(height)) };
  const address = video.urls.video ?? video.urls.preview;
  const picture = live.value[video.id]?.picture;
  return (
    <div class="screen" style={style}>
      {address ? (
        <video
          key={address}
          src={local(address)}
          poster={video.urls.thumbnail && local(video.urls.thumbnail)}
          controls
          autoplay={plays.value}
          loop
          playsInline
          preload="metadata"
          aria-label={video.prompt}
        />
      ) : (
        picture && <img src={picture} alt="How the clip is expected to look" />
      )}
      {isActive(video) && (
        <div class={address ? "progress above" : "progress"}>
          <Waiting video={video} />
          <p>{progress(video)}</p>
        </div>
      )}
      {video.status === "cancelled" && <p class="empty">Cancelled</p>}
      {video.status === "failed" && <p class="empty">This clip could not be made</p>}
    </div>
  );
}

function Actions({ video, act }: { video: Video; act: (action: () => Promise<unknown> | void) => () => void }) {
  const { makes, models } = settings.value!;
  const model = models.find(({ id }) => id === video.model) ?? models[0]!;
  const takes = (what: string) => makes && model.takes.includes(what);
  if (isActive(video))
    return <div class="actions">{makes && <button onClick={act(() => cancel(video.id))}>Cancel</button>}</div>;
  const done = video.status === "completed";
  const others = videos.value!.some(({ id, status }) => id !== video.id && status === "completed");
  return (
    <div class="actions">
      {done && (
        <a class="button primary" href={local(video.urls.video!)} download={`${video.id}.mp4`}>
          Download
        </a>
      )}
      {done && video.draft && makes && <button onClick={act(() => promote(video.id))}>Enlarge</button>}
      {makes && <button onClick={act(() => again(video))}>Use settings again</button>}
      {done && takes("extend") && <button onClick={act(() => workOn("extend", video))}>Extend</button>}
      {done && takes("retake") && <button onClick={act(() => workOn("retake", video))}>Retake a part</button>}
      {done && takes("first_frame") && video.urls.last_frame && (
        <button onClick={act(() => startFrom(video))}>Start from its end</button>
      )}
      {done && others && (
        <button onClick={() => pick(video.id)} disabled={comparing.value !== null}>
          Compare
        </button>
      )}
      {makes && <Delete key={video.id} act={act(() => remove(video.id))} />}
    </div>
  );
}

function Delete({ act }: { act: () => void }) {
  const sure = useSignal(false);
  useEffect(() => {
    const timer = sure.value ? setTimeout(() => (sure.value = false), SURE) : 0;
    return () => clearTimeout(timer);
  }, [sure.value]);
  return (
    <button class={sure.value ? "danger" : ""} onClick={() => (sure.value ? act() : (sure.value = true))}>
      {sure.value ? "Really delete" : "Delete"}
    </button>
  );
}
