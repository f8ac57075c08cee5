"""Prompts of the 15B: the form it was trained on, a rewrite into that form by a language model, and what to warn of.

A prompt of the 15B has three paragraphs (15B spec section 6): a long body that tells what is seen and heard in the
order in which it happens, a `Dialogue:` block, a `Background Sound:` block. Each spoken line stands in the body and,
word for word, in the block. Short prompts give ghosts and blur. `enhance` has the form written by any server that
speaks the chat completions protocol of OpenAI.
"""

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

LONGEST = 640  # tokens that the network reads; of a longer prompt the end, where the dialogue is, is lost
SHORTEST = 60  # words of a body; 150 to 200 are best
KEY = "HAPPYHORSE_ENHANCE_KEY"
KEYS = (KEY, "OPENAI_API_KEY")

INSTRUCTION = """\
You write prompts for a model that makes one short video shot with sound, mostly of a person who speaks. Turn \
what the user wants into one prompt of exactly three paragraphs, with an empty line between them, and answer \
with the prompt alone.

Paragraph 1, in English, 150 to 200 words, plain and exact like a report. Begin with how the person and the \
place look at the first moment and with the overall emotion. Then tell what happens, in order: small movements \
of brows, eyes, cheeks and lips, how the mouth moves, how the voice sounds (tone, pace, pitch, loudness), and \
each other sound at the moment when it is heard. Put every spoken line in double quotes where it is spoken. Name \
the shot: its size and angle, the light, what is in focus, the composition. The camera stands still and there \
are no cuts. The body stays where it is; turn large actions into ones of the face and the upper body; do not \
mention hands that are not in the picture. If a first frame is described, keep to it.

Paragraph 2: the word Dialogue: on a line of its own, then for each spoken line, in order, one line of the form
<who, in a few words, language>: "what is said"
with exactly the words of paragraph 1, in the language in which the user wants them spoken. A known person is \
called by name. If the user clearly wants speech but gives no words, write fewer than twenty of your own. If \
nobody speaks, write <No dialogue>.

Paragraph 3: the words Background Sound: on a line of its own, then one line of what is heard behind it all in \
angle brackets, or <No prominent background sound>.

Chinese and Japanese lines have a space between all characters, wherever they stand."""

_BLOCKS = re.compile(r"^\s*(Dialogue|Background Sound)\s*:", re.MULTILINE)
_SAID = re.compile(r'"([^"\n]+)"|“([^”\n]+)”|「([^」\n]+)」|«\s*([^»\n]+?)\s*»')
_CJK = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_WORD = re.compile(rf"{_CJK}|[^\W_]+(?:['’-][^\W_]+)*")


def enhance(
    prompt: str, url: str, model: str | None = None, key: str | None = None, timeout: float = 120
) -> str:
    """`prompt` rewritten into the three paragraphs by the chat server at `url` (".../v1", or the whole endpoint).

    `model` is the server's name of a language model; None takes the first one that the server lists. `key` is sent as
    a bearer token; None reads it from the environment (HAPPYHORSE_ENHANCE_KEY, then OPENAI_API_KEY), and sends none
    where there is none. `timeout` in seconds. Raises `ValueError`, with the remedy, where there is no such server,
    where it refuses, and where its answer is no such prompt after a second attempt.
    """
    if not re.match(r"https?://[^/\s]+", url):
        raise ValueError(f"{url!r} is no address of a chat server; give one such as http://localhost:8000/v1")
    base = url.rstrip("/").removesuffix("/chat/completions")
    key = key or next((os.environ[name] for name in KEYS if os.environ.get(name)), None)
    if model is None:
        listed = _call(f"{base}/models", None, key, timeout)
        names = [entry["id"] for entry in _items(listed, "data") if isinstance(entry.get("id"), str)]
        if not names:
            raise ValueError(f"{base} lists no language models; name one with --enhance-model")
        model = names[0]
    messages = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": prompt}]
    fault = ""
    for _ in range(2):
        asked = {"model": model, "messages": messages}
        answer = next(iter(_items(_call(f"{base}/chat/completions", asked, key, timeout), "choices")), {})
        message = answer.get("message")
        text = message.get("content") if isinstance(message, dict) else None
        written = tidy(text) if isinstance(text, str) else ""
        fault = next(_misshapen(written), "")
        if not fault:
            return written
        messages = [*messages, {"role": "assistant", "content": written or "(nothing)"}]
        messages += [
            {"role": "user", "content": f"This cannot be used: {fault}. Write the whole prompt again."}
        ]
    raise ValueError(
        f"{model} at {base} wrote no prompt that can be used ({fault}); try another --enhance-model, or write the "
        "prompt yourself"
    )


def tidy(text: str) -> str:
    """What a language model wrote, without its thoughts, fences and surplus lines, CJK characters spaced."""
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL).strip()
    text = re.sub(r"^```\w*\n|\n```$", "", text)
    blocks = [part.strip() for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    return spaced("\n\n".join(blocks))


def spaced(text: str) -> str:
    """`text` with a space between neighbouring Chinese or Japanese characters, as the 15B was trained."""
    return re.sub(rf"({_CJK})(?={_CJK})", r"\1 ", text)


def lint(prompt: str, count: Callable[[str], int] | None = None) -> list[str]:
    """What is doubtful about a prompt, one sentence each with the remedy; [] if nothing is.

    `count` gives the tokens of a text; None estimates them.
    """
    remarks = []
    body, dialogue, _ = parts(prompt)
    if (words := len(_WORD.findall(body))) < SHORTEST:
        remarks.append(
            f"the prompt describes the scene in {words} word{'s' * (words != 1)}; fewer than {SHORTEST} give ghosts "
            "and blur, 150 to 200 are best: write more, or let a language model do it with --enhance URL"
        )
    tokens, about = (count(prompt), "") if count else (estimate(prompt), "about ")
    if tokens > LONGEST:
        remarks.append(
            f"the prompt has {about}{tokens} tokens and only {LONGEST} are read: its end, where the dialogue stands, "
            "is lost; shorten it"
        )
    here, there = _lines(body), _lines(dialogue)
    remarks += [
        f'"{line}" is spoken in the scene but missing from the Dialogue: block; add it'
        for line in here - there
    ]
    remarks += [
        f'"{line}" is in the Dialogue: block but not spoken in the scene; add it there'
        for line in there - here
    ]
    if spaced(prompt) != prompt:
        remarks.append("Chinese and Japanese characters need a space between them, as in 你 好; add it")
    return remarks


def parts(prompt: str) -> tuple[str, str, str]:
    """Body, dialogue and background sound of a prompt; a part that is missing is empty."""
    found = {"Body": "", "Dialogue": "", "Background Sound": ""}
    name, start = "Body", 0
    for match in _BLOCKS.finditer(prompt):
        found[name] += prompt[start : match.start()].strip()
        name, start = match[1], match.end()
    found[name] += prompt[start:].strip()
    return found["Body"], found["Dialogue"], found["Background Sound"]


def estimate(text: str) -> int:
    """Tokens of a text without the tokeniser: a third more than its words, and every mark one."""
    return round(1.33 * len(_WORD.findall(text))) + len(re.findall(r"[^\w\s]", text))


def _lines(text: str) -> set[str]:
    """The quoted lines of a part, as they compare: without the marks, spaces evened out."""
    return {" ".join("".join(groups).split()) for groups in _SAID.findall(text)}


def _misshapen(text: str) -> Iterator[str]:
    body, dialogue, sound = parts(text)
    if not text:
        yield "it is empty"
    if not (dialogue and sound):
        yield "a Dialogue: and a Background Sound: paragraph are needed after the first one"
    if len(_WORD.findall(body)) < SHORTEST:
        yield "the first paragraph must have 150 to 200 words"
    if _lines(body) != _lines(dialogue):
        yield "each quoted line must stand in the first paragraph and, word for word, under Dialogue:"
    if estimate(text) > LONGEST:
        yield "it is too long; write a first paragraph of 150 words"


def _items(answer: Any, name: str) -> list[dict[str, Any]]:
    found = answer.get(name) if isinstance(answer, dict) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _call(url: str, body: dict[str, Any] | None, key: str | None, timeout: float) -> Any:
    """The JSON that a server answers to a GET, or to a POST of `body`; `timeout` in seconds."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=timeout) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        said = " ".join(error.read(300).decode(errors="replace").split())
        remedy = (
            f"set {KEY} to a key of that server"
            if error.code in (401, 403)
            else "check the address and the model"
        )
        raise ValueError(f"{url} refused ({error.code}: {said or error.reason}); {remedy}") from None
    except (OSError, TimeoutError) as error:
        raise ValueError(
            f"no answer from {url} ({getattr(error, 'reason', error)}); is the server running?"
        ) from None
    except ValueError:
        raise ValueError(
            f"{url} answered something that is not JSON; give the address of a chat server"
        ) from None
