// A place to drop a file on, or to choose one by click or key.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { settings } from "./library";
import type { Kind } from "./order";

const MB = 2 ** 20;

interface Props {
  label: string;
  kind: Kind;
  given?: File | undefined;
  give: (file: File | null) => void;
}

export function Drop({ label, kind, given, give }: Props) {
  const over = useSignal(false);
  const wrong = useSignal("");
  const address = useMemo(() => (given ? URL.createObjectURL(given) : ""), [given]);
  useEffect(() => () => URL.revokeObjectURL(address), [address]);

  function take(file: File | null | undefined) {
    over.value = false;
    if (!file) return;
    const limit = kind === "image" ? settings.value!.picture_bytes : settings.value!.media_bytes;
    const fits = file.size <= limit;
    wrong.value = fits ? "" : `${file.name} has ${Math.ceil(file.size / MB)} MB; at most ${limit / MB} MB are taken`;
    if (fits) give(file);
  }

  return (
    <div
      class={over.value ? "drop over" : "drop"}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        take(event.dataTransfer?.files[0]);
      }}
    >
      {given ? (
        <>
          {kind === "image" && <img src={address} alt={given.name} />}
          {kind === "audio" && <audio src={address} controls aria-label={given.name} />}
          {kind === "video" && <video src={address} muted controls aria-label={given.name} />}
          <button type="button" class="quiet" onClick={() => give(null)} aria-label={`Remove ${label}`}>
            Remove
          </button>
        </>
      ) : (
        <label>
          <input
            type="file"
            accept={`${kind}/*`}
            onChange={(event) => {
              take(event.currentTarget.files?.[0]);
              event.currentTarget.value = "";
            }}
          />
          <span>{label}</span>
          <small>drop or choose</small>
        </label>
      )}
      {wrong.value && <p class="error">{wrong.value}</p>}
    </div>
  );
}
