"""The studio page: its files, what it is told about models, and, in a real browser, what a person does with it."""

import hashlib
import io
import re
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from happyhorse.serve.http import access, studio
from happyhorse.serve.http.access import Keys
from serving import get

SOURCES = Path(__file__).parents[3] / "studio"


# The files


def test_the_page_and_its_parts_are_served_and_load_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    rules = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'" and rules["script-src"] == rules["connect-src"] == "'self'"
    again = client.get("/", headers={"if-none-match": page.headers["etag"]})
    assert again.status_code == 304 and not again.content
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {Path(part).suffix for part in parts} == {".js", ".css", ".svg"}
    for part in parts:
        assert part.startswith("./assets/")
        answer = client.get(part.removeprefix("."))
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        assert client.head(part.removeprefix(".")).headers["content-length"] == str(len(answer.content))
        text = answer.text.replace("http://www.w3.org/", "")  # names of kinds of elements
        assert not re.search(r"https?://", text), part


def test_what_is_not_a_part_of_the_page_is_a_typed_error(client):
    for path in ("/assets/nothing.js", "/assets/..%2Findex.html", "/index.html", "/v1/nothing"):
        answer = client.get(path)
        assert answer.status_code == 404 and answer.json()["error"]["type"], path
    assert client.post("/").status_code == 405  # the page does not swallow what others answer


def test_the_built_page_is_that_of_the_sources():
    if not SOURCES.is_dir():
        pytest.skip("the sources of the page are not here")
    names = [f"src/{path.name}" for path in (SOURCES / "src").iterdir()] + ["index.html", "package-lock.json"]
    hashed = hashlib.sha256()
    for name in sorted(names):
        hashed.update(f"{name}\n".encode() + (SOURCES / name).read_bytes())
    built = (studio.BUILT / "index.html").read_text()
    assert f'content="{hashed.hexdigest()}"' in built, "the built page is stale: make studio"


def test_a_store_with_addresses_of_its_own_may_be_loaded_from():
    address = "https://bucket.example:9000/folder/page?X-Signature=1"
    there = SimpleNamespace(blobs=SimpleNamespace(address=lambda name, seconds: address))
    assert "media-src 'self' blob: https://bucket.example:9000;" in studio.policy(there)


# What the page is told


def test_settings_are_those_of_the_models(app, client):
    told = client.get("/studio/settings").json()
    tiny, large = told["models"]
    assert [tiny["id"], large["id"]] == [app.state.tiny, app.state.large]
    assert told["makes"] and told["takes"] == studio.MOST_TAKES
    assert tiny["vocabulary"] and "ball" in tiny["vocabulary"] and "retake" in tiny["takes"]
    assert not any(size["drafts"] for size in tiny["sizes"]) and any(
        size["drafts"] for size in large["sizes"]
    )
    assert {option["name"] for option in tiny["options"]} >= {"steps", "guidance", "sampler", "language"}
    steps = [option["name"] for option in large["options"] if option["upscaling"]]
    assert steps == ["upscale_steps"]  # the small models have no guidance there


def test_what_the_settings_offer_is_taken_and_what_they_exclude_is_not(client):
    for model in client.get("/studio/settings").json()["models"]:
        usual = {"prompt": "a red ball", "model": model["id"]}

        def status(usual=usual, **asked):
            return client.post("/v1/videos/plan", json=usual | asked).status_code

        for size in model["sizes"]:
            assert status(size=size["size"], draft=size["drafts"]) == 200
            assert status(size=size["size"], draft=True) == (200 if size["drafts"] else 400)
        least, most = model["seconds"]["least"], model["seconds"]["most"]
        assert status(seconds=str(least)) == status(seconds=str(most)) == 200
        assert status(seconds=str(least - 0.1)) == status(seconds=str(most + 0.1)) == 400
        size = next((one["size"] for one in model["sizes"] if one["drafts"]), model["size"])
        for option in model["options"]:
            name, bounds = option["name"], option["range"]
            large = {"size": size} if option["upscaling"] else {}
            if bounds is None:
                assert all(status(**{name: choice["value"]}) == 200 for choice in option["choices"])
            else:
                assert bounds["least"] <= bounds["usual"] <= bounds["most"]
                assert {status(**{name: bounds[end]}, **large) for end in ("least", "most")} == {200}
                assert status(**{name: bounds["least"] - 1}, **large) == 400
                assert status(**{name: bounds["most"] + 1}, **large) == 400


def test_what_a_model_refuses_is_not_offered(app):
    """As weights without guidance do, and those whose super-resolution is not installed."""

    class Bare:
        def __init__(self, model):
            self.model = model

        def __getattr__(self, name):
            return getattr(self.model, name)

        def request(self, prompt, **asked):
            request = self.model.request(prompt, **{"width": 96, "height": 64, "guidance": 1.0} | asked)
            if request.guidance != 1 or request.width * request.height > 128 * 96:
                raise ValueError("not here")
            return request

    models = app.state.happyhorse.desk.models
    _, model = models.find(app.state.large)
    bare = SimpleNamespace(find=lambda name: ("", Bare(model)), describe=models.describe)
    told = studio.describe(SimpleNamespace(desk=SimpleNamespace(models=bare)), app.state.large)
    assert told.size == "96x64" and not any(size.drafts for size in told.sizes)
    assert {"steps", "audio_guidance"} <= {option.name for option in told.options}
    assert not {"guidance", "upscale_steps"} & {option.name for option in told.options}


def test_the_line_shows_where_a_clip_stands(client):
    asked = [{"prompt": "a ball"}, {"prompt": "a ball"}, {"prompt": "a ball", "priority": 5}]
    before = client.get("/studio/queue").json()
    first, second, hurried = (client.post("/v1/videos", json=one).json()["id"] for one in asked)
    told = client.get("/studio/queue").json()
    assert told["workers"] == 0 and told["waiting"] == before["waiting"] + 3
    assert told["places"][hurried] < told["places"][first] == told["places"][second] - 1
    for video in (first, second, hurried):
        client.post(f"/v1/videos/{video}/cancel")
    assert client.get("/studio/queue").json()["places"] == before["places"]


def test_a_clip_can_be_asked_for_again(client):
    file = io.BytesIO()
    Image.new("RGB", (96, 64), "red").save(file, "PNG")
    asked = {"prompt": "a red ball", "steps": "2", "seed": "7", "seconds": "1", "guidance": "2.5"}
    asked |= {"key_frames[][seconds]": "0.5"}
    given = {
        "input_reference": ("first.png", file.getvalue()),
        "key_frames[][image]": ("second.png", file.getvalue()),
    }
    video = client.post("/v1/videos", data=asked, files=given).json()
    told = client.get(f"/studio/videos/{video['id']}").json()
    assert set(told["files"]) == {"first_frame"}
    assert [frame["seconds"] for frame in told["key_frames"]] == [0.5]
    assert client.get(told["key_frames"][0]["image"]).headers["content-type"] == "image/png"
    picture = client.get(told["files"]["first_frame"])
    assert Image.open(io.BytesIO(picture.content)).getpixel((5, 5)) == (255, 0, 0)
    same = client.post("/v1/videos", data=told["fields"], files={"input_reference": picture.content}).json()
    for key in ("prompt", "model", "seed", "size", "seconds"):
        assert same[key] == video[key], key
    assert client.get(f"/studio/videos/{same['id']}").json()["fields"] == told["fields"]
    assert client.get("/studio/videos/video_0").status_code == 404
    for one in (video, same):
        client.delete(f"/v1/videos/{one['id']}")


def test_keys_open_the_page_and_keep_clips_apart(app, client, monkeypatch):
    monkeypatch.setattr(access, "FRESH", 0.0)
    keys = Keys(app.state.service.engine, app.state.service.settings)
    mine, other = ({"Authorization": f"Bearer {keys.add(name)}"} for name in ("mine", "other"))
    reader = {"Authorization": f"Bearer {keys.add('reader', ('read',))}"}
    try:
        assert client.get("/").status_code == 200  # the page itself asks for the key
        for path in ("/studio/settings", "/studio/queue"):
            assert client.get(path).json()["error"]["code"] == "invalid_api_key"
        assert client.get("/studio/settings", headers=mine).json()["makes"]
        assert not client.get("/studio/settings", headers=reader).json()["makes"]
        video = client.post("/v1/videos", json={"prompt": "a ball"}, headers=mine).json()["id"]
        assert video in client.get("/studio/queue", headers=mine).json()["places"]
        assert client.get("/studio/queue", headers=other).json()["places"] == {}
        assert client.get(f"/studio/videos/{video}", headers=other).status_code == 404
        client.delete(f"/v1/videos/{video}", headers=mine)
    finally:
        for key in keys.list():
            keys.revoke(key["id"])


# What a person does with it


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'happyhorse[clients]'")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=path, headless=True, args=flags)
        yield found
        found.close()


@pytest.fixture
def page(browser, live):
    """The page in a fresh session; it must not break a rule of its own, nor ask anyone else for anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    opened = context.new_page()
    faults, elsewhere = [], []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    opened.on(
        "request",
        lambda asked: (
            None if asked.url.startswith((live.url, "data:", "blob:")) else elsewhere.append(asked.url)
        ),
    )
    opened.goto(live.url)
    opened.wait_for_selector("#prompt")
    yield opened
    context.close()
    assert not faults and not elsewhere


def until(page, expression, seconds=60):
    """Wait until something holds in the page, whose rules let no polling script in."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(100)


def ask(page, prompt, steps=2, **fields):
    """Fill the form and send it by the keyboard; waits until the clip is on the stage."""
    page.fill("#prompt", prompt)
    if not page.is_visible("#steps"):
        page.get_by_text("More settings").click()
    for name, value in {"steps": steps, "seconds": 1, **fields}.items():
        page.fill(f"#{name}", str(value))
    page.locator("#prompt").press("Control+Enter")
    page.locator(".caption", has_text=prompt).wait_for()


HEARD = """async (player) => {
    const content = await (await fetch(player.src)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(content);
    const samples = sound.getChannelData(0);
    return [sound.duration, Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length)];
}"""


@pytest.mark.slow
def test_a_clip_is_made_and_plays_with_sound(page):
    ask(page, "a red ball bounces on a wooden floor", seed=7)
    player = page.locator(".screen video")
    player.wait_for()
    player.evaluate("player => player.play()")
    until(page, "document.querySelector('.screen video').currentTime > 0.3")
    assert player.evaluate("player => player.webkitAudioDecodedByteCount") > 0
    assert not player.evaluate("player => player.muted") and player.evaluate("player => player.loop")
    seconds, loudness = player.evaluate(HEARD)
    assert seconds == pytest.approx(1.0, abs=0.15) and loudness > 1e-3
    assert "seed 7" in page.locator(".facts").inner_text()
    with page.expect_download() as loading:
        page.get_by_role("link", name="Download").click()
    assert loading.value.suggested_filename.endswith(".mp4")
    page.get_by_role("button", name="Use settings again").click()
    until(page, "document.querySelector('#seed').value === '7'")
    assert page.input_value("#steps") == "2"


@pytest.mark.slow
def test_a_clip_is_found_again_after_a_reload_and_cancelled(page):
    ask(page, "a blue ball", steps=1000)
    page.locator(".progress", has_text="step").wait_for()
    page.reload()
    page.locator(".caption", has_text="a blue ball").wait_for()
    page.locator(".progress", has_text="step").wait_for()
    assert page.input_value("#prompt") == "a blue ball"  # what was written is there as well
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator(".screen", has_text="Cancelled").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Really delete").click()
    page.locator(".caption", has_text="a blue ball").wait_for(state="detached")


@pytest.mark.slow
def test_takes_are_compared_in_step_and_one_is_extended(page):
    ask(page, "the red horse", seed=40, takes=2)
    done = page.locator(
        ".tile.completed", has=page.locator("xpath=self::*[contains(@aria-label, 'red horse')]")
    )
    until(page, "document.querySelectorAll('.tile.completed[title=\"the red horse\"]').length === 2")
    assert done.count() == 2
    page.get_by_role("button", name="Compare").click()
    page.locator(".tile.completed:enabled").first.click()
    page.get_by_role("button", name="Play both").click()
    until(page, "document.querySelector('.pair video').currentTime > 0.3")
    places = page.evaluate("[...document.querySelectorAll('.pair video')].map(one => one.currentTime)")
    assert places[0] == pytest.approx(places[1], abs=0.2)
    muted = page.evaluate("[...document.querySelectorAll('.pair video')].map(one => one.muted)")
    assert sorted(muted) == [False, True]
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Extend").click()
    page.fill("#seconds", "1")
    page.fill("#takes", "1")
    page.get_by_role("button", name="Extend").first.click()
    until(page, "/, 2 s/.test(document.querySelector('.facts').textContent)")


@pytest.mark.slow
def test_words_are_offered_and_what_is_wrong_is_said(page, live, tmp_path):
    page.fill("#prompt", "a dragon and a wood")
    page.locator("#prompt").press("e")
    page.get_by_role("option", name="wooden").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#prompt") == "a dragon and a wooden "
    unknown = page.locator("#unknown")
    unknown.wait_for()
    assert "dragon" in unknown.inner_text() and "wooden" not in unknown.inner_text()
    page.fill("#prompt", "a red ball")
    page.locator(".send .hint", has_text="of work").wait_for()  # the plan
    page.fill("#seconds", "500")
    page.get_by_role("alert").filter(has_text="0.4 to 60 s").wait_for()
    assert page.locator(".field.wrong label").inner_text() == "Seconds"
    page.fill("#seconds", "1")
    page.get_by_role("alert").wait_for(state="detached")
    picture = tmp_path / "first.png"
    Image.new("RGB", (96, 64), "red").save(picture)
    page.get_by_text("Start from a picture").click()
    data = page.evaluate_handle(
        """content => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(content)], "first.png", { type: "image/png" }));
            return data;
        }""",
        list(picture.read_bytes()),
    )
    page.locator(".drop").first.dispatch_event("drop", {"dataTransfer": data})
    page.get_by_role("img", name="first.png").wait_for()
    page.get_by_label("Picture in between").set_input_files(picture)
    page.get_by_label("Second of first.png").fill("0.6")
    with page.expect_response(lambda answer: answer.url.endswith("/v1/videos")) as sent:
        page.locator("#prompt").press("Control+Enter")
    told = get(f"{live.url}/studio/videos/{sent.value.json()['id']}")
    assert set(told["files"]) == {"first_frame"} and told["key_frames"][0]["seconds"] == 0.6
    page.locator(".screen video").wait_for()


@pytest.mark.slow
def test_a_key_is_asked_for_kept_and_sent(page, live):
    def answer(route):
        if route.request.headers.get("authorization") == "Bearer hh-1":
            return route.continue_(headers={**route.request.headers, "authorization": ""})
        error = {"message": "this API key is unknown", "code": "invalid_api_key"}
        return route.fulfill(status=401, json={"error": error})

    page.route(re.compile("/(v1|studio)/"), answer)
    page.reload()
    page.fill("#key", "hh-0")
    page.get_by_role("button", name="Open").click()
    page.get_by_role("alert").filter(has_text="unknown").wait_for()
    page.fill("#key", "hh-1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#prompt")
    page.reload()
    page.wait_for_selector("#prompt")
    page.get_by_role("button", name="Forget the key").click()
    page.wait_for_selector("#key")


@pytest.mark.slow
def test_nothing_sticks_out_on_a_phone_and_everything_is_reached_by_tab(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"prompt", "size", "seconds", "takes", "seed", "More settings"} <= reached
