// Which seconds of a clip are made anew, over its pictures.
import { base } from "./order";
import { Strip } from "./pictures";

const STEP = 0.05; // s

export function Span() {
  const { video, from, to } = base.value!;
  const whole = Number(video.seconds);
  const set = (values: { from?: number; to?: number }) => {
    const next = { from, to, ...values };
    if (next.to - next.from >= STEP) base.value = { ...base.value!, ...next };
  };
  const end = (label: string, name: "from" | "to", value: number) => (
    <label>
      <span>{label}</span>
      <input
        type="range"
        min={0}
        max={whole}
        step={STEP}
        value={value}
        aria-valuetext={`${value.toFixed(2)} seconds`}
        onInput={(event) => {
          set({ [name]: event.currentTarget.valueAsNumber });
          event.currentTarget.value = String(base.value![name]);
        }}
      />
      <output>{value.toFixed(2)} s</output>
    </label>
  );
  return (
    <div class="span">
      <Strip video={video} from={from / whole} to={to / whole} />
      {end("From", "from", from)}
      {end("To", "to", to)}
    </div>
  );
}
