"""What is foreseen for a clip says the same as the command line."""

from happyhorse.cli_engine import plan_facts
from happyhorse.engine import device as devices
from happyhorse.engine.plan import ask
from happyhorse.engine.prepare import imagined
from happyhorse.serve.forecast import facts


def test_the_plan_of_the_server_is_that_of_the_verb():
    model, request = imagined("happyhorse-15b", "a horse gallops", {})
    made = ask(request, model.folder, model.variant, devices.known("h100"), "bf16", model.format)
    assert facts(made) == plan_facts(made) and facts(made)["stages"]
