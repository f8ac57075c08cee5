"""What is foreseen for a clip says the same as the command line."""

from happyhorse.engine import device as devices
from happyhorse.engine.plan import ask
from happyhorse.engine.prepare import imagined
from happyhorse.serve import forecast


def test_the_plan_of_the_server_is_that_of_the_verb(monkeypatch):
    monkeypatch.setattr(forecast, "_device", lambda device: devices.known("h100"))
    model, request = imagined("happyhorse-15b", "a horse gallops", {})
    made = ask(request, model.folder, model.variant, devices.known("h100"), "bf16", model.format)
    _, foreseen = forecast._planned(request, model)  # pyright: ignore[reportPrivateUsage]
    assert foreseen == made.facts() and foreseen["stages"]
