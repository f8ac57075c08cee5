"""Recipes are strict, and one that is cooked leaves what it promises."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest

from happyhorse import checkpoint, config
from happyhorse.train import recipe as recipes
from happyhorse.train.loop import read_log
from happyhorse.train.recipe import Recipe, load_recipe

TINY = """
name = "tiny"

[world]
width = 64
height = 64
seconds = 0.4
families = ["balls"]

[codec]
clips = 4
heldout = 2
video = { width = 16, encoder_blocks = 1, decoder_blocks = 1, mid_width = 8, fine_width = 8, fine_blocks = 1 }
audio = { width = 16, vocoder_width = 16, vocoder_blocks = 1 }
video_loop = { steps = 2, batch = 2, log_every = 1 }
audio_loop = { steps = 2, batch = 2, log_every = 1 }

[flow]
clips = 4
heldout = 2
text = { buckets = 64, width = 16 }
loop = { steps = 2, batch = 2, log_every = 1 }

[flow.horse]
num_layers = 2
hidden_size = 32
head_dim = 16
num_query_groups = 1
text_in_channels = 16
mm_layers = [0]
gelu7_layers = [0]
given_embedding = true
param_dtype = "fp32"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def test_what_is_written_is_what_is_read(file):
    recipe = load_recipe(file)
    assert (recipe.name, recipe.world.families, recipe.codec.video_loop.steps) == ("tiny", ("balls",), 2)
    assert recipe.flow.horse.mm_layers == (0,) and recipe.flow.flow.conditions.first == 0.15
    assert config.build(Recipe, config.plain(recipe)) == recipe


def test_settings_change_one_value_each(file):
    changed = load_recipe(
        file,
        ["flow.loop.optim.muon_lr=1e-3", "world.families=['clock']", "flow.flow.shift_video=4", "name=other"],
    )
    assert changed.flow.loop.optim.muon_lr == 1e-3 and changed.world.families == ("clock",)
    assert changed.flow.flow.shift_video == 4.0 and changed.name == "other"
    assert (
        changed.flow.loop.steps == 2
        and changed.flow.loop.optim.adam_lr == load_recipe(file).flow.loop.optim.adam_lr
    )


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("flow.loop.stepz=3", "unknown key 'flow.loop.stepz'; did you mean 'steps'"),
        ("flow.horse.num_layer=3", "did you mean 'num_layers'"),
        ("codec.crops.colour=1", "unknown key 'codec.crops.colour'; known here: "),
        ("flow.loop.steps=many", "'flow.loop.steps' must be int, got 'many'"),
        ("flow.loop.steps=2.5", "'flow.loop.steps' must be int"),
        ("flow.loop.autocast=1", "'flow.loop.autocast' must be bool"),
        ("flow.loop.batch=true", "'flow.loop.batch' must be int"),
        ("flow.horse.mm_layers=3", "'flow.horse.mm_layers' must be a list"),
        ("flow.horse.mm_layers=[7]", "names a layer outside 0..1"),
        ("flow.horse.param_dtype='fp8'", "must be one of"),
        ("flow.flow.conditions.first=0.95", "sum to at most 1"),
        ("flow.flow.lengths=[4]", "go together"),
        ("flow.loop=3", "'flow.loop' must be a table of settings"),
        ("flow.loop.steps.x=3", "'steps' is a value, not a table"),
        ("flow.loop.steps", "--set takes key=value"),
        ("flow.loop.steps=0", "'flow.loop.steps' must be 1 or more, got 0"),
        ("flow.loop.optim.cooldown=1.5", "'flow.loop.optim.cooldown' must be from 0 to 1, got 1.5"),
        ("flow.repeat.bals=2", "no clips of a family 'bals'; did you mean 'balls'?"),
        ("flow.repeat.balls=0", "'flow.repeat.balls' must be 1 or more"),
    ],
)
def test_mistakes_are_named(file, setting, sentence):
    with pytest.raises(ValueError) as error:
        load_recipe(file, [setting])
    assert sentence in str(error.value)


@pytest.mark.parametrize("key", ["name", "world", "codec.clips", "flow.loop.steps", "flow.horse"])
def test_what_has_no_default_must_be_there(file, key):
    values = tomllib.loads(TINY)
    *parents, last = key.split(".")
    table = values
    for parent in parents:
        table = table[parent]
    del table[last]
    with pytest.raises(ValueError, match=f"missing key '{key}': add it to the recipe"):
        config.build(Recipe, values)


def test_a_file_that_is_no_recipe(tmp_path):
    with pytest.raises(ValueError, match="no such recipe"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("name = [")
    with pytest.raises(ValueError, match=r"broken\.toml is not valid TOML"):
        load_recipe(tmp_path / "broken.toml")


def test_the_whole_chain(file, tmp_path, monkeypatch):
    """Renders, codec, latents, denoiser: each run leaves its log, its page and its weights, and says what made them."""
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    recipe, folder, said = load_recipe(file), tmp_path / "runs", []
    assert recipes.train_codec(recipe, folder, "video", workers=1) is None, "one half is no codec"
    codec = recipes.train_codec(recipe, folder, workers=1)
    assert codec == folder / "codec.safetensors"
    with pytest.raises(ValueError, match="video half alone: add --half video"):
        recipes.train_codec(recipe, tmp_path / "on", start=codec)
    further = recipes.train_codec(recipe, tmp_path / "on", "video", workers=1, start=codec)
    facts = [checkpoint.load(each, "codec").facts for each in (codec, further)]
    assert facts[1]["started_from"] == checkpoint.sha256(codec) and facts[1]["audio"] == facts[0]["audio"]
    assert facts[1]["video"]["variance_kept"] == facts[0]["video"]["variance_kept"]
    path = recipes.train_flow(recipe, folder, codec, workers=1, report=lambda *values: said.append(values))
    for run in ("codec/video", "codec/audio", "flow"):
        assert [line["step"] for line in read_log(folder / run / "log.jsonl")] == [1, 2]
        assert "data:image/png" in (folder / run / "report.html").read_text()
        assert json.loads((folder / run / "run.json").read_text())["world"]["seconds"] == 0.4
    assert "data:video/mp4" in (folder / "flow" / "report.html").read_text()
    part = checkpoint.load(path, "denoiser")
    assert part.facts["steps"] == 2 and part.facts["world"]["families"] == ["balls"]
    assert part.facts["recipe"] == config.plain(recipe.flow)
    assert {what for what, *_ in said} == {"train latents", "heldout latents", "flow"}
    assert [done for what, done, *_ in said if what == "flow"] == [1, 2]


def test_what_stands_beside_clips_is_made_where_the_recipe_has_a_share_of_it(
    file, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("happyhorse.data.shards.CLIPS", 2)
    few = ["flow.edits=2", "flow.references=3", "world.width=32", "world.height=32", "world.seconds=0.2"]
    shares = ["flow.flow.conditions.edit=0.5", "flow.flow.conditions.references=0.5"]
    codec, said = tiny_model / "codec.safetensors", []

    def report(what, *_):
        said.append(what)

    assert recipes.sets(load_recipe(file, few), codec, 1, report)[0].beside == {}
    assert set(said) == {"train latents"}
    recipe = load_recipe(file, few + shares)
    some, flow = recipes.sets(recipe, codec, 1, report, known=["references"])
    assert list(some.beside) == flow.conditions.learnt == ["references"], "a base teaches what it knows"
    assert set(said) == {"train latents", "train references"}
    some, flow = recipes.sets(recipe, codec, 1, report)
    found = some.beside
    assert set(said) == {"train latents", "train references", "train edits"} and flow == recipe.flow.flow
    video, audio, record = found["edit"][1]
    assert video.shape == record["before"][0].shape == (48, 2, 2, 2) and audio.shape == (5, 64)
    subjects = found["references"]
    assert subjects[0][2]["references"].shape == (3, 48, 2, 2) and len(subjects) <= 3


FURTHER = """
[distill]
rank = 2
steps = 2
teacher_steps = 4
prompts = 8

[distill.guided.loop]
steps = 2
batch = 2
log_every = 1

[upscale]
clips = 4
heldout = 2
seconds = 0.4
own = 2
network = { width = 32, layers = 1, head_dim = 16, groups = 1 }
upscale = { frames = 2, rows = 4, columns = 4 }
loop = { steps = 2, batch = 2, log_every = 1 }
"""


@pytest.mark.parametrize(
    ("verb", "there", "sentence"),
    [
        ("flow", "", "no codec at .*happyhorse train codec.*--codec"),
        ("distill", "", "no codec at .*happyhorse train codec.*--codec"),
        ("distill", "codec", "no denoiser at .*happyhorse train flow.*--base"),
        ("upscale", "codec", "no denoiser at .*happyhorse train flow.*--base"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_rendered(
    file, tmp_path, monkeypatch, verb, there, sentence
):
    monkeypatch.setattr(recipes, "make", lambda *_: pytest.fail("rendered"))
    file.write_text(TINY + FURTHER)
    codec = tmp_path / "codec.safetensors"
    if there:
        codec.touch()
    with pytest.raises(ValueError, match=sentence):
        getattr(recipes, f"train_{verb}")(load_recipe(file), tmp_path, codec)


@pytest.mark.slow
def test_a_student_and_super_resolution(tmp_path, monkeypatch):
    """The second half of the chain, on what the first half left."""
    monkeypatch.setenv("HAPPYHORSE_CACHE", str(tmp_path / "cache"))
    path, folder, said = tmp_path / "tiny.toml", tmp_path / "runs", []
    path.write_text(
        TINY.replace("[flow]\nclips = 4\nheldout = 2", "[flow]\nclips = 8\nheldout = 8") + FURTHER
    )
    recipe = load_recipe(path, ["codec.video_loop.steps=1", "codec.audio_loop.steps=1"])
    assert config.build(Recipe, config.plain(recipe)) == recipe
    codec = recipes.train_codec(recipe, folder, workers=1)
    base = recipes.train_flow(recipe, folder, codec, workers=1)
    student = recipes.train_distill(recipe, folder, codec, workers=1)
    assert student == folder / "student" / "student.safetensors"
    facts = checkpoint.load(student, "denoiser-lora").facts
    assert facts["base"] == checkpoint.sha256(base) and facts["world"]["seconds"] == 0.4
    assert "data:video/mp4" in (folder / "student" / "0-guided" / "report.html").read_text()
    upscaler = recipes.train_upscale(recipe, folder, codec, workers=1, report=lambda *at: said.append(at))
    facts = checkpoint.load(upscaler, "upscaler").facts
    assert (facts["world"]["width"], facts["world"]["seconds"], facts["base"]) == (
        128,
        0.4,
        checkpoint.sha256(base),
    )
    made = {
        "train sharp latents",
        "train enlarged latents",
        "clips made anew",
        "upscale",
    }
    assert {what for what, *_ in said} >= made
    for name, table in (("distill", "[distill]"), ("upscale", "[upscale]")):
        without = dataclasses.replace(recipe, **{name: None})
        with pytest.raises(ValueError, match=re.escape(f"this recipe has no {table}")):
            getattr(recipes, f"train_{name}")(without, folder, codec)
