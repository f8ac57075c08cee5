"""Weights from a server and from a folder: whole, again after anything, never half under a final name."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple

import pytest
import torch

from happyhorse.engine import pull as pulling
from happyhorse.engine.health import examine
from happyhorse.engine.pull import RECORD, pull
from happyhorse.engine.sources import SOURCES, parts
from happyhorse.generate.installed import PARTS
from happyhorse.model import weights

pytest.importorskip("huggingface_hub")
from hub import COMMIT, serve

MAGI = "GAIR/daVinci-MagiHuman"


@pytest.fixture
def shop(weights_folder):
    """A server with every repository."""
    with serve() as running:
        for part, source in SOURCES.items():
            root = weights_folder / PARTS[part].folder
            running.repositories[source.repository] = root.parent if source.folder else root
        yield running


def snapshot(folder):
    return {
        p.relative_to(folder): p.stat().st_mtime_ns
        for p in folder.rglob("*")
        if p.is_file() and p.name[0] != "."
    }


def whole(folder, variants=("distill",)):
    return all(examine(folder, part).state == "complete" for part in parts(variants))


def same(one, other):
    ours, theirs = weights.load_horse(one).state_dict(), weights.load_horse(other).state_dict()
    return all(torch.equal(ours[key], theirs[key]) and ours[key].dtype == theirs[key].dtype for key in theirs)


def test_from_the_hub(shop, tmp_path, weights_folder):
    said = []
    got = pull(
        tmp_path,
        ["distill", "sr540"],
        announce=lambda pieces, room: said.append((pieces, room)),
        endpoint=shop.url,
    )
    assert whole(tmp_path, ["distill", "sr540"]) and [piece.part for piece in got] == parts(
        ["distill", "sr540"]
    )
    ((pieces, room),) = said
    assert pieces == got and room == sum(piece.size for piece in got)
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["distill"] == {
        "from": f"{MAGI} at {COMMIT[:12]}",
        "revision": COMMIT,
        "licence": "Apache-2.0",
    }
    assert same(tmp_path / "distill", weights_folder / "distill")
    assert same(tmp_path / "540p_sr", weights_folder / "540p_sr")
    kinds = {dtype for shard in weights.shards(tmp_path / "distill") for dtype, *_ in shard.tensors.values()}
    assert kinds == {torch.bfloat16, torch.float32}  # it was all fp32
    assert not list(tmp_path.rglob("*.zst")) and not [
        p for p in tmp_path.rglob(".*") if p.name != ".pull.lock"
    ]


def test_again_fetches_only_what_is_missing_and_keeps_to_the_commit(shop, tmp_path):
    pull(tmp_path, endpoint=shop.url)
    before, shop.sent, shop.revisions = snapshot(tmp_path), [], []
    assert pull(tmp_path, endpoint=shop.url) == [] and shop.sent == []
    (tmp_path / "turbo_vae" / "checkpoint-340000.ckpt").unlink()
    shard = tmp_path / "distill" / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-8])
    assert [piece.part for piece in pull(tmp_path, endpoint=shop.url)] == ["turbo", "distill"]
    assert whole(tmp_path) and shop.revisions == [COMMIT]
    assert (
        f"{MAGI}/turbo_vae/checkpoint-340000.ckpt" in shop.sent
        and f"{MAGI}/turbo_vae/config.json" not in shop.sent
    )
    assert snapshot(tmp_path).keys() == before.keys()


LATER = "feed" + "1" * 36


def test_a_pull_that_was_stopped_goes_on_at_the_commit_that_it_began_with(shop, tmp_path, monkeypatch):
    """Though the branch moved on meanwhile."""
    once = pulling.hub.download

    def broken(repository, name, *rest):
        if name.endswith(".ckpt"):
            raise KeyboardInterrupt
        once(repository, name, *rest)

    monkeypatch.setattr(pulling.hub, "download", broken)
    with pytest.raises(KeyboardInterrupt):
        pull(tmp_path, endpoint=shop.url)
    assert json.loads((tmp_path / RECORD).read_text())["turbo"]["revision"] == COMMIT
    monkeypatch.setattr(pulling.hub, "download", once)
    shop.commits["main"], shop.fetched = LATER, []
    pull(tmp_path, ["distill", "base"], endpoint=shop.url)
    record = json.loads((tmp_path / RECORD).read_text())
    assert whole(tmp_path, ["distill", "base"])
    assert {record[part]["revision"] for part in ("turbo", "distill", "base")} == {COMMIT}
    assert record["audio"]["revision"] == LATER  # nothing of that repository was there
    assert set(shop.fetched) == {COMMIT, LATER}


def test_revisions_that_are_asked_for(shop, tmp_path):
    shop.commits |= {"main": LATER, "v1": COMMIT}
    text = "google/t5gemma-9b-9b-ul2"
    pull(tmp_path, revision=["v1", f"{text}={COMMIT}"], endpoint=shop.url)
    record = json.loads((tmp_path / RECORD).read_text())
    assert {part: said["revision"] for part, said in record.items()} == {
        "text": COMMIT, "video": LATER, "turbo": COMMIT, "audio": LATER, "distill": COMMIT
    }  # fmt: skip
    shop.fetched = []
    assert pull(tmp_path, revision=["v1"], endpoint=shop.url) == [] and shop.fetched == []
    with pytest.raises(
        ValueError, match=r"turbo_vae is of commit c0ffee0+ and not of feed1+; remove that folder"
    ):
        pull(tmp_path, revision=["main"], endpoint=shop.url)
    assert whole(tmp_path) and shop.fetched == []
    shutil.rmtree(tmp_path / "turbo_vae")
    shutil.rmtree(tmp_path / "distill")
    pull(tmp_path, revision=["main"], endpoint=shop.url)
    assert json.loads((tmp_path / RECORD).read_text())["distill"]["revision"] == LATER


def test_revisions_that_cannot_be(shop, tmp_path, weights_folder):
    for asked, message in (
        (["GAIR/davinci=v1"], "no weights come from 'GAIR/davinci'; did you mean"),
        ([f"{MAGI}="], "names no revision; give a branch, a tag or a commit"),
        (["v9"], f"{MAGI} is not as expected"),
    ):
        with pytest.raises(ValueError, match=message):
            pull(tmp_path, revision=asked, endpoint=shop.url)
    with pytest.raises(ValueError, match="leave it out with --from"):
        pull(tmp_path, origin=weights_folder, revision=["v1"])


def test_sources_do_not_mix(shop, tmp_path, weights_folder):
    """What one pull left unfinished is no part of what another brings from elsewhere."""
    pull(tmp_path, endpoint=shop.url)
    shard = tmp_path / "distill" / "model-00002-of-00002.safetensors"
    shard.unlink()
    other = shutil.copytree(weights_folder, tmp_path / "other")
    shutil.rmtree(other / "distill")
    shutil.copytree(weights_folder / "base", other / "distill")
    pull(tmp_path, origin=other)
    assert same(tmp_path / "distill", weights_folder / "base")
    assert json.loads((tmp_path / RECORD).read_text())["distill"]["from"] == str(other / "distill")


def test_as_published(shop, tmp_path, weights_folder):
    pull(tmp_path, ["sr540"], convert=False, endpoint=shop.url)
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors.zst"):
        assert (tmp_path / "540p_sr" / name).read_bytes() == (weights_folder / "540p_sr" / name).read_bytes()


@pytest.mark.slow
def test_killed_in_the_middle_and_repeated(shop, tmp_path):
    shop.pause = threading.Event()
    code = "import sys, pathlib as p, happyhorse.engine.pull as e; e.pull(p.Path(sys.argv[1]), endpoint=sys.argv[2])"
    command = [sys.executable, "-c", code, str(tmp_path), shop.url]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert shop.reached.wait(300)
    with pytest.raises(ValueError, match=r"another pull into .* is running"):
        pull(tmp_path, endpoint=shop.url)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    shop.pause.set()
    found = [path for path in tmp_path.rglob("*") if path.is_file() and ".cache" not in path.parts]
    for path in found:
        originals = [p.read_bytes() for root in shop.repositories.values() for p in root.rglob(path.name)]
        assert path.name in (".pull.lock", RECORD) or path.read_bytes() in originals
    pull(tmp_path, endpoint=shop.url)
    assert whole(tmp_path) and not list(tmp_path.rglob("*.incomplete"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("what", ["text", "turbo", "distill to bf16"])
def test_killed_while_files_are_taken_or_converted(weights_folder, tmp_path, what):
    def die(now, *_):
        if now == what:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        pull(tmp_path, origin=weights_folder, report=die)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    states = {part: examine(tmp_path, part).state for part in parts(["distill"])}
    assert states["distill"] != "complete" and "broken" not in states.values()
    pull(tmp_path, origin=weights_folder)
    assert whole(tmp_path) and same(tmp_path / "distill", weights_folder / "distill")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("when", ["before the swap", "in the swap"])
def test_a_cast_that_was_stopped_goes_on(shop, tmp_path, weights_folder, when):
    pull(tmp_path, convert=False, endpoint=shop.url)
    cast = tmp_path / ".distill.cast"
    weights.convert(tmp_path / "distill", cast)
    if when == "in the swap":
        os.rename(tmp_path / "distill", tmp_path / ".distill.old")
    shop.sent = []
    pull(tmp_path, endpoint=shop.url)
    assert shop.sent == [] and same(tmp_path / "distill", weights_folder / "distill")
    assert not cast.exists() and not (tmp_path / ".distill.old").exists()


@pytest.mark.parametrize(
    "layout", ["as installed", "under the names of the repositories", "cache of the Hub"]
)
def test_from_a_folder(weights_folder, tmp_path, layout):
    origin = tmp_path / "origin"
    if layout == "as installed":
        origin = weights_folder
    elif layout == "under the names of the repositories":
        shutil.copytree(weights_folder, origin / "daVinci-MagiHuman")
        for name in ("t5gemma-9b-9b-ul2", "Wan2.2-TI2V-5B-Diffusers", "stable-audio-open-1.0"):
            shutil.move(origin / "daVinci-MagiHuman" / name, origin / name)
    else:
        for part, source in SOURCES.items():
            place = (
                origin
                / f"models--{source.repository.replace('/', '--')}"
                / "snapshots"
                / COMMIT
                / source.folder
            )
            shutil.copytree(weights_folder / PARTS[part].folder, place, dirs_exist_ok=True)
    target = tmp_path / "target"
    pull(target, ["distill", "base", "sr540", "sr1080"], origin)
    assert whole(target, ["distill", "base", "sr540", "sr1080"])
    for name in ("distill", "base", "540p_sr", "1080p_sr"):
        assert same(target / name, weights_folder / name)
    assert pull(target, ["base"], origin) == []
    kept = json.loads((target / RECORD).read_text())["base"]["revision"]
    assert kept == (COMMIT if layout == "cache of the Hub" else "")


def test_from_the_files_of_their_makers(published_15b, tmp_path):
    """Single files are rewritten, once; what was half rewritten is not taken for whole."""
    import originals

    origin = originals.write_all(published_15b, tmp_path / "origin")
    got = pull(tmp_path / "target", origin=origin)
    assert whole(tmp_path / "target") and {piece.part for piece in got if piece.original} == {
        "text",
        "video",
        "audio",
    }
    assert json.loads((tmp_path / "target" / RECORD).read_text())["video"]["from"] == str(
        origin / "Wan2.2-TI2V-5B"
    )
    settings = tmp_path / "target" / PARTS["video"].folder / "config.json"
    settings.unlink()  # as where the rewriting was killed
    assert [piece.part for piece in pull(tmp_path / "target", origin=origin)] == [
        "video"
    ] and settings.is_file()
    (origin / "stable-audio-open-1.0" / "model_config.json").unlink()
    with pytest.raises(ValueError, match=r"has no folder stable-audio-open-1.0/vae and no model.safetensors"):
        pull(tmp_path / "other", origin=origin)


def test_files_on_the_same_disk_are_not_copied(weights_folder, tmp_path):
    room = []
    pull(tmp_path, ["base"], weights_folder, announce=lambda pieces, bytes: room.append(bytes))
    name = "base/model-00001-of-00002.safetensors"
    linked = os.path.samefile(tmp_path / name, weights_folder / name)
    assert linked == (tmp_path.stat().st_dev == weights_folder.stat().st_dev) and (room == [0]) == linked


def test_wrong_folders(weights_folder, tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        pull(tmp_path, origin=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has no folder t5gemma-9b-9b-ul2, which reads the prompt"):
        pull(tmp_path / "new", origin=tmp_path)
    broken = shutil.copytree(weights_folder, tmp_path / "broken")
    path = broken / "distill" / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"the distill weights in .* cannot be used: .*model-00002-of-00002"):
        pull(tmp_path / "new", origin=broken)
    assert not (tmp_path / "new" / "distill").exists()


def test_the_disk_is_checked_first(shop, tmp_path, monkeypatch):
    full = namedtuple("usage", "total used free")(10, 9, 1000)
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda path: full)
    with pytest.raises(
        OSError, match=r"needs .* GB and the disk has 0.0 GB left; free some space, or set HAPPYHORSE_HOME"
    ):
        pull(tmp_path, endpoint=shop.url)
    assert shop.sent == []


def test_room_for_what_is_cast_one_after_the_other(tmp_path):
    size, cast = 60 * 10**9, pulling._bytes(PARTS["distill"].horse)
    pieces = [
        pulling.Piece(part, (("model.safetensors", size),), revision="x") for part in ("distill", "sr540")
    ]
    assert 30.6e9 < cast < 30.7e9
    assert pulling._room(tmp_path, pieces, True) == cast + size + cast
    assert pulling._room(tmp_path, pieces, False) == 2 * size


def test_what_the_hub_refuses(shop, tmp_path):
    shop.gated.add("google/t5gemma-9b-9b-ul2")
    with pytest.raises(
        ValueError, match=r"accept its licence: do so at https://huggingface\.co/google/t5gemma"
    ):
        pull(tmp_path, endpoint=shop.url)
    shop.gated.clear()
    del shop.repositories[MAGI]
    with pytest.raises(ValueError, match=f"{MAGI} is not as expected"):
        pull(tmp_path, endpoint=shop.url)


def test_no_connection(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    with pytest.raises(ValueError, match=r"connection to the Hub failed .*; pull again to go on"):
        pull(tmp_path, endpoint="http://127.0.0.1:9")


def test_unknown_variants():
    with pytest.raises(ValueError, match="did you mean 'distill'"):
        parts(["distil"])
    assert parts(["sr1080", "distill"]) == ["text", "video", "turbo", "audio", "distill", "sr1080"]
    assert set(SOURCES) == set(PARTS)
