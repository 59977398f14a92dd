"""Settings: resolved once, validated, every refusal one line that names the field."""

import dataclasses
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wgan_jax import config as configs
from wgan_jax import experiment
from wgan_jax.config import base, difference, flat, resolve
from wgan_jax.errors import UserError
from wgan_jax.settings import Settings, critic_updates

EXPERIMENTS = sorted(Path("experiments").glob("*.py"))


def test_the_defaults_resolve_to_themselves() -> None:
    assert resolve(base()) == Settings()


def test_settings_survive_json() -> None:
    settings = resolve({"batch_size": 7, "critic": {"filters": (3, 3), "strides": (2, 2)}})
    assert resolve(json.loads(json.dumps(configs.to_dict(settings)))) == settings


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "config must be a ConfigDict or a dictionary, got NoneType: begin with"),
        ("experiments/digits_wgan.py", "got str: begin with wgan_jax.config.base()"),
        ({"batchsize": 3}, "Did you mean config.batch_size?"),
        ({"data": {"clases": "x"}}, "Did you mean config.data.classes?"),
        ({"zzz": 1}, "run.py --fields"),
        ({"clip": 0}, "config.clip = 0.0 must be above 0"),
        ({"clip": -0.1}, "config.clip = -0.1 must be above 0"),
        ({"clip": float("nan")}, "config.clip = nan must be a finite number"),
        ({"n_critic": 0}, "config.n_critic = 0 must be at least 1"),
        ({"epochs": 1.5}, "config.epochs = 1.5 must be a whole number"),
        ({"epochs": True}, "config.epochs = True must be a whole number"),
        ({"seed": -1}, "config.seed = -1 must be 0 or above"),
        ({"ema": 1.0}, "config.ema = 1.0 must be at least 0 and below 1"),
        ({"objective": "wgn"}, "Did you mean wgan?"),
        ({"data": 3}, "group of fields"),
        ({"image_size": 30}, "multiple of 8"),
        ({"critic": {"filters": [1, 2]}}, "one stride per layer"),
        ({"critic": {"filters": ["a"]}}, "list of integers"),
        ({"generator": {"filters": []}}, "at least 1, one per layer"),
        ({"wandb": {"mode": "on"}}, "not one of '', disabled, offline, online"),
        ({"objective": "wgan_gp", "critic": {"normalization": "batch"}}, "section 4"),
    ],
)
def test_refusals(config: Any, says: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(config)
    assert says in str(caught.value)
    assert len(str(caught.value)) <= 200
    assert "\n" not in str(caught.value)


def test_an_int_is_a_float_and_a_list_a_tuple() -> None:
    settings = resolve({"clip": 1, "critic": {"filters": [8], "strides": [2]}})
    assert (settings.clip, settings.critic.filters) == (1.0, (8,))


def test_numbers_of_numpy_are_taken_for_pythons() -> None:
    filters, strides = (np.int64(8), 4), np.array([2, 1])
    config = {"clip": np.float32(0.5), "seed": np.uint8(7), "tensorboard": np.True_}
    settings = resolve(config | {"critic": {"filters": filters, "strides": strides}})
    found: tuple[Any, ...] = (
        settings.clip,
        settings.seed,
        settings.tensorboard,
        *settings.critic.filters,
    )
    assert found == (0.5, 7, True, 8, 4)
    assert [type(value) for value in found] == [float, int, bool, int, int]
    assert settings.critic.strides == (2, 1)
    with pytest.raises(UserError, match=r"config\.epochs = 1\.5 must be a whole"):
        resolve({"epochs": np.float64(1.5)})


def test_difference_ignores_what_cannot_change_the_result() -> None:
    old = Settings()
    assert difference(old, dataclasses.replace(old, log_every=7, epochs=99)) == {}
    batches = dataclasses.replace(old.quality, batch_size=7)
    assert difference(old, dataclasses.replace(old, quality=batches)) == {}
    assert difference(old, dataclasses.replace(old, clip=0.5)) == {"clip": (0.01, 0.5)}


def changed(settings: Any) -> Any:
    """The same with another value in every field, groups and all."""

    def other(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return changed(value)
        if isinstance(value, bool):
            return not value
        steps: dict[type, Any] = {str: "x", tuple: (1,)}
        return value + steps.get(type(value), 1)

    return type(settings)(**{f.name: other(getattr(settings, f.name)) for f in fields(settings)})


def test_what_may_change_in_the_midst_of_a_run() -> None:
    free = set(flat(Settings())) - set(difference(Settings(), changed(Settings())))
    assert free == {
        "epochs",
        "devices",
        "on_failure",
        "max_rollbacks",
        "rollback_factor",
        "log_every",
        "sample_every",
        "quality_every",
        "checkpoint_every",
        "keep_checkpoints",
        "mirror_every",
        "tensorboard",
        "data.cache_dir",
        "data.stream",
        "data.workers",
        "quality.batch_size",
        "wandb.mode",
        "wandb.project",
        "wandb.entity",
    }


@pytest.mark.parametrize(
    "change", [{"encoder": "none"}, {"weights": "mine"}, {"resize": "pytorch"}, {"n": 40}]
)
def test_what_changes_the_measure_changes_the_result(change: dict[str, Any]) -> None:
    old = Settings()
    new = dataclasses.replace(old, quality=dataclasses.replace(old.quality, **change))
    (name,) = change
    assert list(difference(old, new)) == [f"quality.{name}"]


def test_every_field_has_a_meaning() -> None:
    for name, default, meaning in configs.describe():
        assert meaning, name
        assert flat(Settings())[name] == default


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_resolves_and_says_how_to_run_it(path: Path) -> None:
    settings = experiment.read(path)
    assert settings.epochs >= 1
    assert f"python run.py --config {path}" in path.read_text()


def test_the_guides_experiment_is_the_guides() -> None:
    s = experiment.read(Path("experiments/cifar_wgan.py"))
    assert (s.batch_size, s.epochs, s.n_critic, s.clip) == (512, 12_000, 5, 0.01)
    assert (s.critic_optimizer.name, s.critic_optimizer.learning_rate) == ("rmsprop", 5e-5)
    assert s.generator_optimizer == s.critic_optimizer


@pytest.mark.parametrize("name", ["cifar_wgan_adam", "cifar_wgan_gp_resnet"])
def test_published_recipes_are_measured_by_the_protocol_of_their_numbers(name: str) -> None:
    """That of pytorch-gan-metrics, which resizes as pytorch-fid does."""
    quality = experiment.read(Path(f"experiments/{name}.py")).quality
    assert (quality.resize, quality.n) == ("pytorch", 50_000)


def test_overrides() -> None:
    flags = ["--config.batch_size=256", "--config.data.classes", "horse", "--config.clip=1"]
    settings = experiment.read(Path("experiments/cifar_wgan.py"), flags)
    assert (settings.batch_size, settings.data.classes, settings.clip) == (256, "horse", 1.0)


def test_a_tuple_override() -> None:
    flags = ["--config.critic.filters=(8, 16)", "--config.critic.strides=(2, 2)"]
    settings = experiment.read(Path("experiments/cifar_wgan.py"), flags)
    assert settings.critic.filters == (8, 16)


def test_of_overrides_of_one_field_the_last_wins() -> None:
    flags = ["--config.critic.filters=(8, 16)", "--config.critic.strides", "(1, 1)"]
    flags += ["--config.seed=1", "--config.critic.strides", "(2, 2)", "--config.seed=2"]
    flags += ["--config.critic.filters=(4, 8)"]
    settings = experiment.read(Path("experiments/cifar_wgan.py"), flags)
    assert (settings.critic.filters, settings.critic.strides) == ((4, 8), (2, 2))
    assert settings.seed == 2


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--config.batchsize=3"], "Did you mean config.batch_size?"),
        (["--config.batch_size=x"], "config.batch_size = 'x' must be"),
        (["--config.clip=x"], "config.clip = 'x' must be"),
        (["--config.data.flip=3"], "config.data.flip = '3' must be"),
        (["--config.critic=3"], "group of fields"),
        (["--batch=3"], "--batch is not a flag"),
        (["stray"], "'stray' is not understood"),
        (["--config.critic.filters=a,b"], "list of integers"),
    ],
)
def test_bad_overrides(flags: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        experiment.read(Path("experiments/cifar_wgan.py"), flags)
    assert says in str(caught.value)
    assert len(str(caught.value)) <= 200


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def get_config(:", "fails: SyntaxError"),
        ("x = 1", "get_config"),
        ("def get_config(): return 3", "another ConfigDict"),
        ("def get_config(): raise ValueError('boom')", "ValueError: boom"),
    ],
)
def test_bad_experiment_files(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        experiment.read(path)
    assert says in str(caught.value)


def test_no_experiment_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a file"):
        experiment.read(tmp_path / "none.py")


@hypothesis_settings(deadline=None)
@given(
    st.integers(0, 30), st.integers(0, 9), st.integers(1, 9), st.integers(0, 60), st.integers(0, 60)
)
def test_critic_updates_are_what_the_schedule_plays(
    warm: int, period: int, long: int, first: int, count: int
) -> None:
    schedule = {"warm_epochs": warm, "period": period, "long": long}
    settings = resolve({"n_critic": 3, "n_critic_schedule": schedule})
    by_hand = sum(
        long if epoch < warm or (period and epoch % period == 0) else 3
        for epoch in range(first, first + count)
    )
    assert critic_updates(settings, first, count) == by_hand


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_epochs_behind_a_schedule_that_ended_at_0_are_refused(player: str) -> None:
    def config(schedule: str, decay_epochs: int) -> dict[str, Any]:
        optimizer = {"schedule": schedule, "decay_epochs": decay_epochs}
        return {"epochs": 600, f"{player}_optimizer": optimizer}

    with pytest.raises(UserError, match=f"{player}_optimizer.decay_epochs = 20 ends before"):
        resolve(config("linear", 20))
    for sound in (config("constant", 20), config("cosine", 600), config("linear", 0)):
        resolve(sound)


def test_a_dotted_name_in_python_is_told_where_it_belongs() -> None:
    with pytest.raises(
        UserError, match=r"belongs in its group: \{'critic': \{'filters': \.\.\.\}\}"
    ):
        resolve({"critic.filters": (8, 8)})


def test_more_critic_updates_than_their_counter_holds_are_refused() -> None:
    schedule = {"period": 1, "long": 10**4}
    for config in (
        {"epochs": 10**8, "n_critic": 100},
        {"epochs": 10**8, "n_critic": 1, "n_critic_schedule": schedule},
        {"critic_optimizer": {"decay_epochs": 10**8}, "n_critic": 100},
    ):
        with pytest.raises(UserError, match="critic updates, above 2147483647: lower them"):
            resolve(config)
    resolve({"epochs": 10**8, "n_critic": 5, "n_critic_schedule": {"period": 500, "long": 100}})
