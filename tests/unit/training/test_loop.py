"""The loop: what is stopped and resumed is what was never stopped."""

import json
import threading

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from livematte.errors import UsageError, WeightsError
from livematte.inference.encoders import ResNet50
from livematte.training import loop
from livematte.training.checkpoints import checkpoint_facts
from livematte.training.packing import pack
from livematte.training.recipe import Plan, Recipe
from livematte.training.steps import Step
from tests.people import draw_people


class Small(nn.Module):
    """Enough of a network to have batch normalisation, dropout and two players."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.drop = nn.Dropout(0.2)
        self.head = nn.Conv2d(6, 1, 1)
        self.critic = nn.Conv2d(1, 1, 3)

    def forward(self, rgb):
        return torch.sigmoid(self.head(self.drop(self.encoder(rgb))))


class SmallRecipe(Recipe):
    def __init__(self):
        super().__init__("small")

    def plan(self, scale, seed):
        steps = (
            Step("one", 4, ((32, 32), (32, 64)), 3, 1e-3, 1e-2),
            Step("two", 6, ((32, 32),), 2, 1e-3, 1e-2, 2),
        )
        return Plan("small", seed, 0.5, 0.9, steps, {"weight": 0.5})

    def network(self):
        return Small()

    def enter(self, step, network):
        network.train()

    def players(self, step):
        return ("network",) if step.name == "one" else ("network", "discriminator")

    def parameters(self, step, network, player):
        critic = player == "discriminator"
        return [p for n, p in network.named_parameters() if n.startswith("critic.") == critic]

    def losses(self, step, network, batch, player):
        alpha = network(batch["rgb"])
        if player == "discriminator":
            return {"critic": network.critic(alpha.detach()).square().mean()}
        return {"l1": (alpha - batch["alpha"]).abs().mean(), "size": 0.1 * alpha.mean()}

    def predict(self, network, batch):
        return network(batch["rgb"])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return pack(draw_people(folder / "drawn"), folder / "packed")


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)


def train(out, cache, stop_after=None, precision="fp32", **options):
    stop, seen = threading.Event(), []

    def say(row):
        seen.append(row)
        if stop_after is not None and "loss" in row and (row["step"], row["iteration"]) == stop_after:
            stop.set()

    settings = loop.Settings(precision=precision, validation_pictures=2, say=say, stop=stop)
    loop.train(SmallRecipe(), SmallRecipe().plan(1, 3), out, cache, settings=settings, **options)
    return seen


@pytest.mark.parametrize(
    ("where", "precision"),
    [(("one", 2), "fp32"), (("one", 4), "fp32"), (("two", 4), "fp32"), (("two", 4), "fp16")],
)
def test_stopped_and_resumed_equals_uninterrupted(tmp_path, cache, where, precision):
    train(tmp_path / "whole", cache, precision=precision)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", cache, stop_after=where, precision=precision)
    train(tmp_path / "cut", cache, precision=precision)
    whole, cut = (load_file(tmp_path / run / "state.safetensors") for run in ("whole", "cut"))
    assert whole.keys() == cut.keys() and any(k.startswith("turn.discriminator.") for k in whole)
    for name in whole:
        torch.testing.assert_close(cut[name], whole[name], rtol=0, atol=0, msg=name)


def test_a_run_writes_what_reproduces_it_and_what_it_gave(tmp_path, cache):
    rows = train(tmp_path, cache, facts={"command": ["x"]})
    record = json.loads((tmp_path / "run.json").read_text())
    assert (
        record["plan"]["seed"] == 3
        and record["command"] == ["x"]
        and record["plan"]["options"]["weight"] == 0.5
    )
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log == json.loads(json.dumps(rows))
    assert set(log[-2]["terms"]) == {"l1", "size", "discriminator.critic"}
    assert log[-2]["loss"] == pytest.approx(log[-2]["terms"]["l1"] + log[-2]["terms"]["size"], abs=2e-5)
    assert 0 < log[-1]["mad"] < 1000
    assert (tmp_path / "samples.png").stat().st_size > 1000
    assert load_file(tmp_path / "average.safetensors").keys() == Small().state_dict().keys()


def test_crops_are_counted_over_stops_and_go_into_the_weights(tmp_path, cache):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", cache, stop_after=("two", 4), crops_seen=1000)
    for file in ("state", "average"):  # what is stopped can be shipped
        assert checkpoint_facts(tmp_path / "cut" / f"{file}.safetensors")["crops"] == 1000 + 4 * 3 + 4 * 2
    rows = train(tmp_path / "cut", cache)
    assert [r["crops"] for r in rows][-1] == 1000 + 4 * 3 + 6 * 2
    average = tmp_path / "cut" / "average.safetensors"
    assert checkpoint_facts(average)["crops"] == loop.weights_crops(average) == 1024


def test_the_count_goes_on_from_the_weights_that_a_run_starts_from(tmp_path, cache):
    given = tmp_path / "given.safetensors"
    save_file(Small().state_dict(), given, metadata={"model": "small", "step": json.dumps({"crops": 500})})
    for name, told, seen in (("file", None, 500), ("told", 7, 7)):
        rows = train(tmp_path / name, cache, start_from=given, crops_seen=told)
        assert rows[0]["crops"] == seen and rows[-1]["crops"] == seen + 4 * 3 + 6 * 2
    save_file(Small().state_dict(), given)
    assert loop.weights_crops(given) == 0


class Sized(SmallRecipe):
    def plan(self, scale, seed):
        step = Step("sized", 6, ((32, 32), (64, 96)), 4, 0, 1e-2, 0, rarity=0.5, area=2048, scenes=True)
        return Plan("small", seed, 0.5, 0.9, (step,), {"weight": 0.5}, {"photograph": 1.0})

    def players(self, step):
        return ("network",)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_batches_of_several_sizes_and_a_constant_rate_resume_exactly(tmp_path, cache, precision):
    def run(out, stop_after=None):
        stop = threading.Event()

        def say(row):
            if row.get("iteration") == stop_after and "loss" in row:
                stop.set()

        recipe = Sized()
        settings = loop.Settings(precision=precision, validation_pictures=1, say=say, stop=stop)
        loop.train(recipe, recipe.plan(1, 3), out, cache, settings=settings)

    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", stop_after=4)
    run(tmp_path / "cut")
    whole, cut = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "cut"))
    for name in whole:
        torch.testing.assert_close(cut[name], whole[name], rtol=0, atol=0, msg=name)
    facts = checkpoint_facts(tmp_path / "whole" / "state.safetensors")
    assert facts["crops"] in range(6 * 3, 6 * 8 + 1) and facts["crops"] % 1 == 0


def test_a_folder_with_a_run_is_not_overwritten(tmp_path, cache):
    train(tmp_path, cache)
    with pytest.raises(UsageError, match="already contains a run: use --resume"):
        train(tmp_path, cache, resume=False)


class Faint(SmallRecipe):
    """A loss whose gradients are too small for fp16: 2^-24 is the least it has."""

    def players(self, step):
        return ("network",)

    def losses(self, step, network, batch, player):
        return {"l1": 2.0**-18 * (network(batch["rgb"]) - batch["alpha"]).abs().mean()}


def test_small_gradients_are_not_lost_in_half_precision(tmp_path, cache):
    moved = {}
    for precision in ("fp32", "fp16"):
        recipe, settings = (
            Faint(),
            loop.Settings(precision=precision, validation_pictures=1, say=lambda row: None),
        )
        plan = recipe.plan(1, 3).only(["one"])
        loop.train(recipe, plan, tmp_path / precision, cache, settings=settings)
        torch.manual_seed(3)
        before = Small().encoder[0].weight
        after = load_file(tmp_path / precision / "state.safetensors")["network.encoder.0.weight"]
        moved[precision] = (after - before).detach()
    steps = moved["fp32"].abs().mean()
    assert steps > 1e-4 and (moved["fp16"] - moved["fp32"]).abs().mean() < 0.5 * steps


def test_a_batch_too_small_for_the_processes_is_refused():
    plan = SmallRecipe().plan(1, 3)
    loop.check_batch_size(plan, 2)
    with pytest.raises(UsageError, match="step two has a batch of 2, which is too small for 3 processes"):
        loop.check_batch_size(plan, 3)


def test_weights_to_start_from_are_taken_where_they_fit(tmp_path):
    given = Small().state_dict() | {"head.weight": torch.zeros(2, 6, 1, 1), "other": torch.zeros(1)}
    save_file(given, tmp_path / "given.safetensors")
    network = Small()
    before = network.head.weight.clone()
    taken, left = loop.warm_start(network, tmp_path / "given.safetensors")
    assert (taken, left) == (len(network.state_dict()) - 1, 1)
    torch.testing.assert_close(network.head.weight, before)
    torch.testing.assert_close(network.encoder[0].weight, given["encoder.0.weight"])
    inner = nn.ModuleDict({"deployable": Small()})
    assert loop.warm_start(inner, tmp_path / "given.safetensors") == (taken, left)
    with torch.device("meta"):
        names = ResNet50().state_dict()
    stem = {"conv1.weight": torch.ones(names["conv1.weight"].shape)}
    save_file(stem, tmp_path / "stem.safetensors")  # ends many names: blocks have a conv1 too
    whole = nn.ModuleDict({"encoder": ResNet50()})
    assert loop.warm_start(whole, tmp_path / "stem.safetensors")[0] == 1
    assert (whole["encoder"].conv1.weight == 1).all()
    save_file({"other": torch.zeros(1)}, tmp_path / "alien.safetensors")
    with pytest.raises(UsageError, match="no tensor that fits Small"):
        loop.warm_start(network, tmp_path / "alien.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        loop.warm_start(network, tmp_path / "broken.safetensors")


def test_rate_rises_for_a_fifth_of_each_cycle_and_falls():
    step = Step("x", 20, ((32, 32),), 1, 1.0, 3.0, cycles=2)
    assert [step.rate(i) for i in (0, 1, 2, 6, 10, 12)] == pytest.approx([1, 2, 3, 2, 1, 3])


def test_a_plan_is_changed_by_name_and_refuses_what_it_does_not_have():
    plan = SmallRecipe().plan(1, 3)
    table = {"seed": 9, "options": {"weight": 2.0}, "steps": {"two": {"batch": 7, "sizes": [[64, 64]]}}}
    changed = plan.changed(table)
    assert (changed.seed, changed.options["weight"], changed.steps[1].batch) == (9, 2.0, 7)
    assert changed.steps[1].sizes == ((64, 64),) and changed.steps[0] == plan.steps[0]
    assert [s.name for s in plan.only(["two"]).steps] == ["two"]
    for bad in ({"sed": 1}, {"options": {"w": 1}}, {"steps": {"three": {}}}, {"steps": {"one": {"bach": 1}}}):
        with pytest.raises(UsageError, match="unknown"):
            plan.changed(bad)
    with pytest.raises(UsageError, match="not a number"):
        plan.changed({"seed": "x"})
