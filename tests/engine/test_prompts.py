"""Prompts: rewritten by a real server on this machine, and judged without one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from happyhorse.engine import prompts

BODY = (
    "A woman in a grey coat stands on a quiet platform in soft morning light, calm and a little tired. Her brows rise, "
    'her lips part, and in a low, slow voice she says "good morning". A train hums far away. Her cheeks lift into a '
    "small smile, she blinks twice, breathes in, and looks past the camera. Medium close-up at eye level, shallow "
    "focus on her face, the background soft and pale, the camera still throughout."
)
GOOD = f'{BODY}\n\nDialogue:\n<A woman in a grey coat, English>: "good morning"\n\nBackground Sound:\n<A distant train>'


@pytest.fixture
def server():
    """A chat server that says what is put into `answers`, in order, and remembers what it was asked."""
    answers, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.say(200, {"data": [{"id": "small-model"}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers.get("Authorization"), body))
            status, content = answers.pop(0)
            self.say(status, content)

        def say(self, status, content):
            raw = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/v1", answers, asked
    http.shutdown()
    http.server_close()


def said(text):
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


def test_a_prompt_is_rewritten(server, monkeypatch):
    url, answers, asked = server
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    monkeypatch.setenv("HAPPYHORSE_ENHANCE_KEY", "mine")
    answers.append(said(f"<think>hm\n\nhm</think>\n```text\n{GOOD}\n```"))
    assert prompts.enhance("a woman greets", url) == GOOD
    ((path, key, body),) = asked
    assert path == "/v1/chat/completions" and key == "Bearer mine" and body["model"] == "small-model"
    assert body["messages"][1] == {"role": "user", "content": "a woman greets"}


def test_a_bad_answer_is_asked_for_again_once(server):
    url, answers, asked = server
    answers += [said("Sure!"), said(GOOD)]
    assert prompts.enhance("a woman greets", f"{url}/chat/completions", "big-model", "k") == GOOD
    assert asked[1][2]["model"] == "big-model" and "cannot be used" in asked[1][2]["messages"][-1]["content"]
    answers += [said("Sure!"), said(GOOD.replace('"good morning"\n', '"good day"\n'))]
    with pytest.raises(ValueError, match=r"big-model .* wrote no prompt that can be used \(each quoted line"):
        prompts.enhance("a woman greets", url, "big-model")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, {"error": "no key"}), "refused.*set HAPPYHORSE_ENHANCE_KEY"),
        ((404, "nothing here"), "refused.*404: nothing here.*check the address and the model"),
        ((200, "<html>"), "not JSON"),
        ((200, {"choices": []}), "wrote no prompt"),
        ((200, [1]), "wrote no prompt"),
    ],
)
def test_servers_that_fail(server, answer, sentence):
    url, answers, _ = server
    answers += [answer, answer]
    with pytest.raises(ValueError, match=sentence):
        prompts.enhance("a woman greets", url, "m")


def test_no_server():
    with pytest.raises(ValueError, match="is the server running"):
        prompts.enhance("x", "http://127.0.0.1:9/v1", "m", timeout=2)
    with pytest.raises(ValueError, match="no address"):
        prompts.enhance("x", "localhost:8000", "m")


def test_the_form_is_split():
    assert prompts.parts(GOOD) == (
        BODY,
        '<A woman in a grey coat, English>: "good morning"',
        "<A distant train>",
    )
    assert prompts.parts("a ball") == ("a ball", "", "")


def test_nothing_is_wrong_with_a_good_prompt():
    assert prompts.lint(GOOD) == []


@pytest.mark.parametrize(
    ("prompt", "remark"),
    [
        ("a red ball", "in 3 words;"),
        ("rain", "in 1 word;"),
        (GOOD.replace(', English>: "good morning"', ">: nothing"), "missing from the Dialogue: block"),
        (GOOD.replace('says "good morning"', "speaks"), "not spoken in the scene"),
        (GOOD.replace("good morning", "早上好"), "need a space"),
        (GOOD + " rain" * 500, "about .* tokens and only 640"),
    ],
)
def test_what_is_doubtful(prompt, remark):
    (one,) = prompts.lint(prompt)
    import re

    assert re.search(remark, one)


def test_tokens_are_counted_where_they_can_be():
    assert prompts.lint(GOOD, lambda text: 640) == []
    assert "641 tokens" in prompts.lint(GOOD, lambda text: 641)[0]


def test_spacing_touches_nothing_else():
    assert prompts.spaced("你好 and こんにちは, 1 日本") == "你 好 and こ ん に ち は, 1 日 本"
    assert prompts.spaced(prompts.spaced("你好")) == "你 好" and prompts.spaced("안녕 hello") == "안녕 hello"
