// Server-sent events by fetch: EventSource cannot send the Authorization header.
import { call } from "./api";

export interface Message {
  event: string;
  data: unknown;
}

export async function* events(path: string, signal: AbortSignal): AsyncGenerator<Message> {
  const answer = await call(path, { signal });
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const fields = new Map(
        block.split("\n").map((line) => [line.split(": ", 1)[0]!, line.slice(line.indexOf(": ") + 2)]),
      );
      if (fields.has("data")) yield { event: fields.get("event")!, data: JSON.parse(fields.get("data")!) };
    }
  }
}
