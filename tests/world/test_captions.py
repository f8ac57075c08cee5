import numpy as np

from happyhorse.world.captions import fill, wordings


def test_articles_follow_the_word_that_fills_the_slot():
    rng = np.random.default_rng(0)
    assert (
        fill("a {c} ball and a {d} ball", {"c": "orange", "d": "red"}, rng) == "an orange ball and a red ball"
    )
    assert fill("A {c} ball", {"c": "orange"}, rng) == "An orange ball"


def test_an_empty_slot_leaves_no_trace():
    rng = np.random.default_rng(0)
    assert fill("a clock {p} on a wall {p}, slow {p}; red", {"p": ""}, rng) == "a clock on a wall, slow; red"


def test_synonyms_are_all_used():
    rng = np.random.default_rng(0)
    seen = {fill("{x}", {"x": ("one", "two", "three")}, rng) for _ in range(50)}
    assert seen == {"one", "two", "three"}


def test_wordings_are_different_templates_in_an_order_of_the_draw():
    templates = [f"t{i}" for i in range(10)]
    lines = [wordings(templates, {}, np.random.default_rng(seed), 6) for seed in range(20)]
    for line in lines:
        plain = [text.rstrip(".").lower() for text in line]
        assert len(set(plain)) == 6 and set(plain) <= set(templates)
    assert len({line[0].lower().rstrip(".") for line in lines}) > 4
    sentences = [text for line in lines for text in line if text.endswith(".")]
    assert all(text[0].isupper() for text in sentences) and 10 < len(sentences) < 60
