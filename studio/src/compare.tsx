// Two clips side by side, in step.
import { effect, signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { local } from "./api";
import { videos } from "./library";
import { clock } from "./text";

/** Ids of the clips that are compared; one alone while the other is still to be chosen; null: none are. */
export const comparing = signal<string[] | null>(null);

export function pick(id: string): void {
  comparing.value = [...(comparing.value ?? []), id].slice(0, 2);
}

// A clip that is deleted ends the comparison.
effect(() => {
  const all = videos.value;
  if (all && comparing.value?.some((id) => !all.some((video) => video.id === id))) comparing.value = null;
});

const APART = 0.05; // s by which two clips may differ before one is moved

export function Compare() {
  const pair = comparing.value!.map((id) => videos.value!.find((video) => video.id === id)!);
  const frame = useRef<HTMLDivElement>(null);
  const playing = useSignal(false);
  const heard = useSignal(0);
  const time = useSignal(0);
  const longest = Math.max(...pair.map((video) => Number(video.seconds)));
  const leads = pair.findIndex((video) => Number(video.seconds) === longest);
  const players = () => [...(frame.current?.querySelectorAll("video") ?? [])];

  function seek(to: number) {
    for (const player of players()) player.currentTime = Math.min(to, player.duration || to);
    time.value = to;
  }

  function toggle() {
    playing.value = !playing.value;
    for (const player of players()) void (playing.value ? player.play() : player.pause());
  }

  useEffect(() => {
    let request = 0;
    const tick = () => {
      const all = players();
      const leader = all[leads];
      if (!leader) return;
      if (leader.ended && playing.value) {
        seek(0);
        for (const player of all) void player.play();
      }
      for (const player of all) {
        const due = Math.min(leader.currentTime, player.duration || 0);
        if (player !== leader && Math.abs(player.currentTime - due) > APART) player.currentTime = due;
      }
      time.value = leader.currentTime;
      request = requestAnimationFrame(tick);
    };
    request = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(request);
  }, [leads]);

  return (
    <section class="stage" aria-label="Two clips side by side">
      <div class="pair" ref={frame}>
        {pair.map((video, index) => (
          <figure key={video.id}>
            <video src={local(video.urls.video!)} muted={heard.value !== index} playsInline preload="auto" />
            <figcaption>
              <label class="check">
                <input type="radio" name="heard" checked={heard.value === index} onChange={() => (heard.value = index)} />
                {`Hear this one: seed ${video.seed}`}
              </label>
              <p class="hint">{video.prompt}</p>
            </figcaption>
          </figure>
        ))}
      </div>
      <div class="actions">
        <button class="primary" onClick={toggle}>
          {playing.value ? "Pause" : "Play both"}
        </button>
        <input
          type="range"
          aria-label="Time"
          aria-valuetext={clock(time.value)}
          min={0}
          max={longest}
          step={0.04}
          value={time.value}
          onInput={(event) => seek(event.currentTarget.valueAsNumber)}
        />
        <output>{clock(time.value)}</output>
        <button onClick={() => (comparing.value = null)}>Done</button>
      </div>
    </section>
  );
}
