// The page: a form on one side, the clip that is looked at and all the others on the other.
import { signal } from "@preact/signals";
import { render } from "preact";
import { ApiError, key, locked, keepKey } from "./api";
import { Compare, comparing } from "./compare";
import { Form } from "./form";
import { Gallery } from "./gallery";
import { begin, line, said, settings, shown, unreachable, videos } from "./library";
import { Stage } from "./stage";

const failed = signal("");

async function start(): Promise<void> {
  failed.value = "";
  try {
    await begin();
    locked.value = "";
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) return;
    failed.value = error.message;
    setTimeout(start, 1000 * (error.retry || 3));
  }
}

function App() {
  return (
    <>
      <header>
        <h1>happyhorse studio</h1>
        <Status />
        {key.value && (
          <button
            class="quiet"
            onClick={() => {
              keepKey("");
              location.reload();
            }}
          >
            Forget the key
          </button>
        )}
      </header>
      <p class="heard" role="status">
        {said.value}
      </p>
      {locked.value ? <Door /> : settings.value && videos.value ? <Room /> : <p class="empty">{failed.value || "Loading ..."}</p>}
    </>
  );
}

function Status() {
  if (unreachable.value) return <p class="error">The server cannot be reached; it is tried again.</p>;
  if (line.value?.waiting) return <p class="hint">{`${line.value.waiting} waiting`}</p>;
  return null;
}

function Room() {
  return (
    <main>
      <Form />
      <div class="clips">
        {comparing.value?.length === 1 && (
          <p class="notice">
            Choose the clip to compare it with.{" "}
            <button class="quiet" onClick={() => (comparing.value = null)}>
              Leave it
            </button>
          </p>
        )}
        {comparing.value?.length === 2 ? (
          <Compare />
        ) : shown.value ? (
          <Stage video={shown.value} />
        ) : (
          <p class="empty">Clips that you make appear here.</p>
        )}
        <Gallery />
      </div>
    </main>
  );
}

/** Where a key is asked for. */
function Door() {
  return (
    <form
      class="door"
      onSubmit={(event) => {
        event.preventDefault();
        keepKey(String(new FormData(event.currentTarget).get("key")));
        void start();
      }}
    >
      <label for="key">This server asks for an API key</label>
      <input id="key" name="key" type="password" autocomplete="off" required spellcheck={false} placeholder="hh-..." />
      {key.value && (
        <p class="error" role="alert">
          {locked.value}
        </p>
      )}
      <p class="hint">It is kept until this tab is closed.</p>
      <button class="primary">Open</button>
    </form>
  );
}

document.addEventListener("dragover", (event) => event.preventDefault()); // a file beside its place opens nothing
document.addEventListener("drop", (event) => event.preventDefault());

render(<App />, document.body);
void start();
