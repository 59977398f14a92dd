"""Every threshold of the rules from both sides: a tenth short of it, and a tenth beyond."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from tests.made_up_losses import Floats, history, noise, sparse
from wgan_jax.health.judge import Finding, Judge, Setup, Verdict, judge
from wgan_jax.health.past import Past
from wgan_jax.health.rules import RULES, Rule
from wgan_jax.health.signs import Sign
from wgan_jax.health.windows import cut

SIZE = 50  # rows of a window: a twentieth of ROWS
ROWS = 20 * SIZE
BLOCK = noise(SIZE)  # the same in every window, so that no two differ by chance
UNIT = cut(np.arange(ROWS), np.tile(BLOCK, 20)).noise[0]  # what the judge calls its noise
LOG2 = np.log(2.0)

Columns = dict[str, Floats]


def level(*parts: tuple[int, float]) -> Floats:
    """So many windows at a level, then so many at another [ROWS]."""
    return np.concatenate([np.full(SIZE * windows, value, float) for windows, value in parts])


def loud(*parts: tuple[int, float]) -> Floats:
    """Noise about 0 of a level, in units of the judge's [ROWS]."""
    return level(*parts) * np.tile(BLOCK, 20) / UNIT


def tails(low: float, high: float) -> Floats:
    """About 0 with a tenth at each tail [ROWS]."""
    block = np.zeros(SIZE)
    block[::10], block[5::10] = low, high
    return np.tile(block, 20)


def waves(share: float) -> Floats:
    """Of whose variance one of three frequencies has this share."""
    t = 2 * np.pi * np.arange(ROWS) / (ROWS // 2)
    parts = ((20, share), (60, (1 - share) / 2), (111, (1 - share) / 2))
    return sum(np.sqrt(part) * np.sin(times * t) for times, part in parts)


def few(*values: float) -> Floats:
    """Measurements evenly over a run [ROWS]."""
    return sparse(ROWS, ROWS // len(values), np.array(values))


def d_rejects(chance: float, rejected: float) -> Callable[[float], Columns]:
    """D's loss about its threshold, with a G's that is above its own."""
    return lambda x: {
        "d_loss": level((10, 0.8 * chance), (10, 0.1 * chance * x)),
        "g_loss": level((20, 1.5 * rejected)),
    }


def g_rejected(chance: float, rejected: float) -> Callable[[float], Columns]:
    """G's loss about its threshold, with a D's that is below its own."""
    return lambda x: {
        "d_loss": level((10, 0.8 * chance), (10, 0.05 * chance)),
        "g_loss": level((20, rejected * x)),
    }


def grows(key: str) -> Callable[[float], Columns]:
    """A spread of weights about its threshold."""
    return lambda x: {key: level((10, 0.01), (7, 0.05), (3, 0.1 * x))}


# (rule, objective, columns at x times the threshold, whether it is found below or above it).
CASES: dict[str, tuple[str, str | None, Callable[[float], Columns], str]] = {
    **{
        f"D of {objective}": (
            "critic_saturated", objective, d_rejects(chance, rejected), "below",
        )
        for objective, chance, rejected in (
            ("hinge", 1, 1), ("nsgan", LOG2, 3 * LOG2), ("lsgan", 0.25, 0.4)
        )
    },
    **{
        f"G of {objective}": (
            "critic_saturated", objective, g_rejected(chance, rejected), "above",
        )
        for objective, chance, rejected in (
            ("hinge", 1, 1), ("nsgan", LOG2, 3 * LOG2), ("lsgan", 0.25, 0.4)
        )
    },
    "tails": ("critic_on_floor", None, lambda x: {"d_loss": 5 + tails(-0.1, 1.2 * x)}, "above"),
    "gap": (
        "critic_dead", "wgan",
        lambda x: {"d_loss": loud((20, 1)), "wasserstein_distance": level((10, 1), (10, 1e-3 * x))},
        "below",
    ),
    "variation": (
        "critic_at_rest", None,
        lambda x: {"d_loss": level((10, 1), (10, 1e-3 * x)) * tails(-1, 1)}, "below",
    ),
    "level": ("critic_at_rest", None, lambda x: {"d_loss": 3 + 3 * tails(-x, x) * 5e-4}, "below"),
    "wandering": (
        "gap_drowned", "wgan",
        lambda x: {"d_loss": level((10, 1), (10, 0.01 * x)), "g_loss": loud((20, 1))}, "below",
    ),
    "gap of its highest": (
        "gap_stands", "wgan",
        lambda x: {"d_loss": level((5, -1), (15, -0.5 * x)), "g_loss": level((20, 0))}, "above",
    ),
    "gap against G": (
        "gap_stands", "wgan_gp",
        lambda x: {"d_loss": level((20, -2)), "g_loss": level((15, 0), (5, x))}, "below",
    ),
    "gap falls": (
        "gap_stands", "wgan",
        lambda x: {
            "d_loss": level((10, -9 - x), (10, -9)) + loud((20, 1)), "g_loss": level((20, 0))
        },
        "below",
    ),
    "chance, low": (
        "critic_at_chance", "hinge", lambda x: {"d_loss": 1 + tails(-0.02 * x, 0.001)}, "below"
    ),
    "chance, high": (
        "critic_at_chance", "hinge", lambda x: {"d_loss": 1 + tails(-0.001, 0.02 * x)}, "below"
    ),
    "summed chance": (
        "critic_at_chance", "hinge", lambda x: {"d_loss": 2 + tails(-0.001, 0.02 * x)}, "below"
    ),
    "louder": (
        "regime_change", None, lambda x: {"d_loss": 9 + loud((10, 1), (10, 3 * x))}, "above",
    ),
    "quieter": (
        "regime_change", None,
        lambda x: {"d_loss": level((10, 9), (10, 2)) + loud((10, 1), (10, x / 3))}, "below",
    ),
    "growth": (
        "critic_unsettled", None, lambda x: {"d_loss": 9 + loud((10, 1), (10, 1.75 * x))}, "above"
    ),
    "growth for its level": (
        "critic_unsettled", None,
        lambda x: {"d_loss": level((10, 9), (10, 18)) + loud((10, 1), (10, 2 * 1.75 * x))}, "above",
    ),
    "fall": (
        "critic_unsettled", None,
        lambda x: {
            "d_loss": level((14, 9), (6, 9 - 0.75 * 2 * x)) + loud((10, 1), (10, 2))
        },
        "below",
    ),
    "swing": (
        "critic_unsettled", None,
        lambda x: {"d_loss": 9 + 9 * 0.01 * x * loud((10, 0.5), (10, 1))}, "above",
    ),
    "no better than chance": (
        "critic_unsettled", "nsgan",
        lambda x: {
            "d_loss": level((10, 0.9 * LOG2 * x), (10, 0.5)) + 0.05 * loud((10, 0.4), (10, 1)),
            "g_loss": level((20, 1)),
        },
        "below",
    ),
    "chance of a sum": (
        "critic_unsettled", "nsgan",
        lambda x: {
            "d_loss": level((10, 1.5 * LOG2 * x), (10, 1)) + 0.05 * loud((10, 0.4), (10, 1)),
            "g_loss": level((20, 1)),
        },
        "above",
    ),
    "wild": ("losses_wild", None, lambda x: {"d_loss": 9 + loud((10, 1), (10, 10 * x))}, "above"),
    "wild G": (
        "losses_wild", None,
        lambda x: {"d_loss": 9 + loud((20, 1)), "g_loss": loud((10, 1), (10, 10 * x))}, "above",
    ),
    "size": (
        "losses_run_away", None, lambda x: {"d_loss": level((10, -1), (10, -10 * x))}, "above",
    ),
    "size of G": (
        "losses_run_away", None,
        lambda x: {"d_loss": loud((20, 1)), "g_loss": level((10, 1), (10, 10 * x))}, "above",
    ),
    "wave": ("oscillation", None, lambda x: {"d_loss": waves(0.5 * x)}, "above"),
    "pinned": (
        "critic_pinned", None, lambda x: {"clip_ratio": level((20, 0.95 * x**0.2))}, "above",
    ),
    "clipped": ("clip_high", None, lambda x: {"clip_ratio": level((20, 0.5 * x))}, "above"),
    "ratio above 1": ("critic_strong", None, lambda x: {"dg_ratio": level((20, x))}, "above"),
    "ratio below 0.01": (
        "ratio_low", None,
        lambda x: {
            "dg_ratio": level((20, 0.01 * x)), "wasserstein_distance": level((10, 1), (10, 1e-3))
        },
        "below",
    ),
    "gap of a low ratio": (
        "ratio_low", None,
        lambda x: {
            "dg_ratio": level((20, 1e-3)), "wasserstein_distance": level((10, 1), (10, 0.01 * x))
        },
        "below",
    ),
    "starved": (
        "generator_starved", None, lambda x: {"generator_grad_norm": level((20, 1e-8 * x))}, "below"
    ),
    "vanished": (
        "generator_vanished", None,
        lambda x: {"generator_weight_std": level((10, 0.05), (10, 0.005 * x))}, "below",
    ),
    **{
        f"grew, {who}": (
            "weights_grew", None, grows(f"{who}_weight_std"), "above",
        )
        for who in ("critic", "generator")
    },
    "still grows": (
        "weights_grew", None,
        lambda x: {"critic_weight_std": level((10, 0.01), (7, 0.5), (3, 0.5 * 1.1 * x))}, "above",
    ),
    "large": ("weights_large", None, lambda x: {"generator_weight_std": level((20, x))}, "above"),
    "grew large": (
        "weights_grew_large", None,
        lambda x: {"generator_weight_std": level((10, 1.2), (10, 1.2 * 1.25 * x))}, "above",
    ),
    "departed": (
        "fid_departed", None, lambda x: {"fid_score": few(*[50] * 8, *[75 * x] * 3)}, "above",
    ),
    "IS": (
        "score_fell", None,
        lambda x: {"inception_score_mean": few(*[4] * 8, *[3 * x] * 3)}, "below",
    ),
    "never": ("never_trained", None, lambda x: {"fid_score": few(*[150 * x] * 10)}, "above"),
    "hardly better": (
        "never_trained", None,
        lambda x: {"fid_score": few(*[400] * 5, *[360 * x**0.5] * 5)}, "above",
    ),
    "plateau": ("plateau", None, lambda x: {"fid_score": few(*[100 * x] * 20)}, "above"),
    "no better": (
        "plateau", None, lambda x: {"fid_score": few(*[200] * 10, *[196 * x**0.1] * 10)}, "above"
    ),
    "alike": ("samples_alike", None, lambda x: {"pixel_variance": few(*[0.1 * x] * 5)}, "below"),
    "alike, as the data": (
        "samples_alike", None,
        lambda x: {"pixel_variance": few(*[0.04 * x] * 5), "real_pixel_variance": few(0.08)},
        "below",
    ),
    "share of the best": (
        "samples_alike", None, lambda x: {"pixel_variance": few(0.8, *[0.2 * x] * 4)}, "below"
    ),
    "gains": (
        "samples_alike", None,
        lambda x: {"pixel_variance": few(0.09, *[0.05] * 3, 0.05 + 0.01 * x)}, "below",
    ),
    "gains at its best": (
        "samples_alike", None, lambda x: {"pixel_variance": few(*[0.01] * 4, 0.0125 * x)}, "below"
    ),
    "visible": (
        "samples_alike", None, lambda x: {"pixel_variance": few(*[1e-4] * 4, 1e-3 * x)}, "below"
    ),
    "nearer": (
        "samples_alike", None,
        lambda x: {
            "pixel_variance": few(0.01, 0.02, 0.03, 0.04, 0.05), "fid_score": few(*[90] * 4, 81 * x)
        },
        "above",
    ),
    "stuck": (
        "stuck_at_chance", "nsgan", lambda x: {"d_loss": level((20, 0.75 * x**0.01))}, "below",
    ),
    "recall": ("recall_fell", None, lambda x: {"recall": few(0.8, 0.8, *[0.2 * x] * 3)}, "below"),
    "recall at all": (
        "recall_fell", None, lambda x: {"recall": few(0.1 * x, *[0.01] * 4)}, "above",
    ),
    "overfit": (
        "critic_overfits", None, lambda x: {"critic_overfit": few(0.2, 0.4, *[x] * 3)}, "above",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_threshold_lies_where_it_is_said(case: str) -> None:
    name, objective, columns, side = CASES[case]
    for x in (0.9, 1.1):
        rules = {f.rule for f in judge(history(**columns(x)), Setup(objective)).findings}
        assert (name in rules) is ((x > 1) is (side == "above")), f"at {x} times the threshold"


@pytest.mark.parametrize("terms", [1, 2])
@pytest.mark.parametrize(
    ("level_", "stuck"), [(0.719, False), (0.721, True), (0.749, True), (0.751, False)]
)
def test_the_guides_band_of_a_stuck_loss_ends_where_it_says(
    terms: int, level_: float, stuck: bool
) -> None:
    rules = {
        f.rule for f in judge(history(d_loss=level((20, terms * level_))), Setup("nsgan")).findings
    }
    assert ("stuck_at_chance" in rules) is stuck


@pytest.mark.parametrize(
    ("critic", "generator", "stuck"),
    [(0.504, 0.991, True), (0.496, 0.991, True), (0.506, 0.991, False), (0.494, 0.991, False),
     (0.504, 0.989, False)],
)  # fmt: skip
def test_accuracies_are_stuck_within_half_a_percent(
    critic: float, generator: float, stuck: bool
) -> None:
    columns = {"d_loss": loud((20, 1)), "d_accuracy": level((20, critic))}
    verdict = judge(history(**columns, g_accuracy=level((20, generator))), Setup("nsgan"))
    assert ("stuck_at_chance" in {f.rule for f in verdict.findings}) is stuck


@pytest.mark.parametrize(("name", "least"), [("never_trained", 10), ("plateau", 20)])
def test_fid_is_called_poor_from_so_many_values_on(name: str, least: int) -> None:
    for n in (least - 1, least):
        values = np.full(ROWS, np.nan)
        values[:n] = 200.0
        rules = {f.rule for f in judge(history(fid_score=values)).findings}
        assert (name in rules) is (n == least)


# How far FID must have come down for a rule that infers to yield: docs/diagnosis.md.
YIELDS = {
    "weights_large": 0.9,
    "critic_pinned": 0.5,
    "samples_alike": 0.5,
    "weights_grew_large": 0.2,
}


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.yields], ids=lambda rule: rule.name
)
def test_what_is_inferred_yields_to_a_fid_that_came_down_so_far(rule: Rule) -> None:
    share = YIELDS.get(rule.name, 0.75)
    seen = dataclasses.replace(rule, sees=lambda _: Sign("seen", 0))
    lowered = "warning" if rule.verdict == "failing" else None
    for best, verdict in ((share - 0.01, lowered), (share + 0.01, rule.verdict)):
        past = Past(Setup())
        past.add(history(fid_score=few(100, *[100 * best] * 9)))
        found = seen.apply(past)
        assert (found and found.verdict) == verdict
        assert found is None or found.inferred


@pytest.mark.parametrize(("late", "verdict"), [(190, "warning"), (210, "failing")])
def test_a_fid_of_long_ago_overrules_nothing(late: int, verdict: str) -> None:
    """Long ago: twice as long as two measurements take."""
    rows = 1000 + late
    fid = np.full(rows, np.nan)
    fid[99:1000:50] = np.linspace(100, 10, 19)
    past = Past(Setup())
    past.add(history(fid_score=fid))
    (rule,) = (rule for rule in RULES if rule.name == "critic_saturated")
    seen = dataclasses.replace(rule, sees=lambda _: Sign("seen", 0))
    assert seen.apply(past).verdict == verdict


# Rules that say nothing before a quarter of the planned run is done.
WAIT = {
    "critic_at_chance", "critic_at_rest", "critic_pinned", "critic_strong", "critic_unsettled",
    "clip_high", "gap_drowned", "gap_stands", "generator_starved", "losses_run_away", "losses_wild",
    "never_trained", "oscillation", "plateau", "ratio_low", "samples_alike", "stuck_at_chance",
}  # fmt: skip


@pytest.mark.parametrize("case", [case for case in CASES if case != "variation"])
def test_what_young_runs_do_is_said_of_none(case: str) -> None:
    name, objective, columns, side = CASES[case]
    made = history(**columns(1.1 if side == "above" else 0.9))
    for planned, young in ((4 * ROWS, False), (4 * ROWS + 4, True)):
        rules = {f.rule for f in judge(made, Setup(objective, total_epochs=planned)).findings}
        assert (name in rules) is not (young and name in WAIT)


# (rule, objective, columns of which the last k windows show it, how many it takes).
LASTING: dict[str, tuple[str | None, Callable[[int], Columns], int]] = {
    "critic_saturated": (
        "hinge",
        lambda k: {"d_loss": level((20 - k, 0.8), (k, 0.05)), "g_loss": level((20, 2))}, 2,
    ),
    "critic_on_floor": (
        None,
        lambda k: {"d_loss": np.r_[tails(-1, 1)[: (20 - k) * SIZE], tails(-0.1, 2)[: k * SIZE]]}, 2,
    ),
    "critic_dead": ("wgan", lambda k: {"d_loss": level((20 - k, 1), (k, 1e-6))}, 2),
    "critic_at_rest": (
        "hinge", lambda k: {"d_loss": level((20 - k, 1), (k, 0)) * tails(-0.1, 0.1) * 1e-2 + 1.4}, 2
    ),
    "critic_at_rest, by its level": (
        "hinge", lambda k: {"d_loss": 1.4 + level((20 - k, 0.05), (k, 3e-4)) * tails(-1, 1)}, 5
    ),
    "gap_drowned": (
        "wgan", lambda k: {"d_loss": level((20 - k, 1), (k, 1e-3)), "g_loss": loud((20, 1))}, 5
    ),
    "gap_stands": (
        "wgan", lambda k: {"d_loss": level((20 - k, 0.4), (k, 1)), "g_loss": level((20, 0))}, 15
    ),
    "critic_at_chance": ("hinge", lambda k: {"d_loss": level((20 - k, 1.3), (k, 1))}, 5),
    "regime_change": (None, lambda k: {"d_loss": 9 + loud((20 - k, 1), (k, 4))}, 2),
    "losses_run_away": (None, lambda k: {"g_loss": level((20 - k, 1), (k, -20))}, 2),
    "critic_pinned": (None, lambda k: {"clip_ratio": level((20 - k, 0.5), (k, 1))}, 5),
    "clip_high": (None, lambda k: {"clip_ratio": level((20 - k, 0.3), (k, 0.7))}, 5),
    "critic_strong": (None, lambda k: {"dg_ratio": level((20 - k, 0.5), (k, 2))}, 5),
    "ratio_low": (
        None,
        lambda k: {
            "dg_ratio": level((20 - k, 0.5), (k, 1e-3)),
            "wasserstein_distance": level((10, 1), (10, 1e-4)),
        },
        5,
    ),
    "generator_starved": (
        None, lambda k: {"generator_grad_norm": level((20 - k, 1), (k, 1e-10))}, 2
    ),
    "weights_large": (None, lambda k: {"generator_weight_std": level((20 - k, 0.9), (k, 1.1))}, 2),
    "stuck_at_chance": ("nsgan", lambda k: {"d_loss": level((20 - k, 0.5), (k, 0.73))}, 5),
}  # fmt: skip


@pytest.mark.parametrize("case", LASTING)
def test_a_sign_must_last_and_holds_from_where_it_begins(case: str) -> None:
    name, (objective, columns, least) = case.partition(",")[0], LASTING[case]
    for k in (least - 1, least):
        seen = {f.rule: f for f in judge(history(**columns(k)), Setup(objective)).findings}
        assert (name in seen) is (k == least), f"in the last {k} windows"
    assert seen[name].onset_epoch == ROWS - least * SIZE


def rules_of(objective: str | None, **columns: Floats) -> set[str]:
    return {finding.rule for finding in judge(history(**columns), Setup(objective)).findings}


def test_fakes_must_be_rejected_lately_too() -> None:
    d = level((10, 0.8), (10, 0.05))
    for g, found in (((18, 0.5), (2, 2)), True), (((19, 0.5), (1, 2)), False):
        assert ("critic_saturated" in rules_of("hinge", d_loss=d, g_loss=level(*g))) is found


def test_wasserstein_losses_have_no_floor_and_no_noise_to_lose() -> None:
    floor = {"d_loss": 5 + tails(-0.1, 2)}
    quiet = {"d_loss": level((10, 9), (10, 2)) + loud((10, 1), (10, 0.1))}
    grows = {"d_loss": 9 + loud((10, 1), (10, 2.5))}
    for name, columns in (
        ("critic_on_floor", floor), ("regime_change", quiet), ("critic_unsettled", grows),
    ):  # fmt: skip
        assert name in rules_of(None, **columns)
        assert name not in rules_of("wgan", **columns)
        assert name not in rules_of("wgan_gp", **columns)


def test_a_gap_is_as_large_as_its_larger_side() -> None:
    gap = np.concatenate([np.ones(ROWS // 2), tails(-1, 0)[: ROWS // 2]])
    assert "critic_dead" not in rules_of("wgan", d_loss=loud((20, 1)), wasserstein_distance=gap)


def test_noise_that_rises_while_d_falls_is_learning() -> None:
    louder = loud((10, 1), (10, 4))
    assert "regime_change" in rules_of(None, d_loss=9 + louder)
    assert "regime_change" not in rules_of(None, d_loss=level((10, 9), (10, 0)) + louder)
    wild = loud((10, 1), (10, 20))
    falling = level((13, 90), (7, 0))
    assert "losses_wild" in rules_of(None, d_loss=90 + wild)
    assert "losses_wild" not in rules_of(None, d_loss=falling + wild)


def test_a_change_of_regime_is_told_by_its_direction() -> None:
    for parts, word in (((10, 1), (10, 4)), "rose"), (((10, 4), (10, 1)), "fell"):
        d = level((10, 90), (10, 9)) if word == "fell" else level((20, 9))
        verdict = judge(history(d_loss=d + loud(*parts)))
        (finding,) = (f for f in verdict.findings if f.rule == "regime_change")
        assert finding.evidence.startswith(f"noise of D {word} at once")


def test_the_quiet_of_untrained_networks_is_no_past_to_grow_wild_from() -> None:
    assert "losses_wild" not in rules_of(None, d_loss=9 + loud((5, 0.05), (15, 1)))


@pytest.mark.parametrize(("share", "wild"), [(0.89, True), (0.91, False)])
def test_a_critic_that_still_guesses_is_quiet_without_being_sound(share: float, wild: bool) -> None:
    d = level((8, LOG2), (12, share * LOG2)) + 1e-4 * loud((20, 1))
    g = 1 + loud((11, 0.01), (9, 1))  # three quiet windows since the critic has left chance
    rules = {f.rule for f in judge(history(d_loss=d, g_loss=g), Setup("nsgan")).findings}
    assert ("losses_wild" in rules) is wild


@pytest.mark.parametrize(
    "fid",
    [
        (100, 10, 10, 10, 10, 10, 10, 30, 30, 30),  # left its best
        (50, 100, 45, 45, 45, 45, 45, 45, 45, 45),  # came down from its highest, not its first
    ],
)
def test_a_fid_that_is_not_good_overrules_nothing(fid: tuple[float, ...]) -> None:
    past = Past(Setup())
    past.add(history(fid_score=few(*fid)))
    (rule,) = (rule for rule in RULES if rule.name == "critic_saturated")
    seen = dataclasses.replace(rule, sees=lambda _: Sign("seen", 0))
    assert seen.apply(past).verdict == "failing"


# (rule, objective, columns, epoch from which it holds)
ONSETS: dict[str, tuple[str, str | None, Columns, int]] = {
    "first of two losses": (
        "not_finite", None,
        {"d_loss": level((14, 1), (6, np.inf)), "g_loss": level((8, 1), (12, np.inf))}, 400,
    ),
    "oscillation": ("oscillation", None, {"d_loss": waves(0.9)}, 500),
    "noise": ("critic_unsettled", None, {"d_loss": 9 + loud((10, 1), (10, 2.5))}, 500),
    "vanished": (
        "generator_vanished", None, {"generator_weight_std": level((10, 1), (10, 0.01))}, 500,
    ),
    "grew": (
        "weights_grew", None, {"critic_weight_std": level((10, 0.01), (7, 0.05), (3, 1))}, 850,
    ),
    "FID, its last below the line": (
        "fid_departed", None, {"fid_score": few(*[50] * 7, 80, 80, 60)}, 899,
    ),
    "IS, its last above the line": (
        "score_fell", None, {"inception_score_mean": few(*[4] * 7, 2, 2, 3.5)}, 899
    ),
    "plateau": ("plateau", None, {"fid_score": few(300, 200, *[210] * 18)}, 99),
    "alike": ("samples_alike", None, {"pixel_variance": few(0.3, 0.3, 0.05, 0.05, 0.05)}, 599),
    "recall": ("recall_fell", None, {"recall": few(0.8, 0.8, 0.1, 0.1, 0.1)}, 599),
    "overfit": ("critic_overfits", None, {"critic_overfit": few(0.2, 0.9, 1.1, 1.2, 1.3)}, 599),
    "overfit, its last below the line": (
        "critic_overfits", None, {"critic_overfit": few(0.2, 0.9, 1.1, 1.2, 1.3, 0.9)}, 497,
    ),
    "overfit, one between below the line": (
        "critic_overfits", None, {"critic_overfit": few(0.2, 1.1, 1.2, 0.9, 1.3)}, 399,
    ),
    "overfit from the first": ("critic_overfits", None, {"critic_overfit": few(*[1.2] * 5)}, 199),
}  # fmt: skip


@pytest.mark.parametrize("case", ONSETS)
def test_a_sign_holds_from_where_it_began(case: str) -> None:
    name, objective, columns, onset = ONSETS[case]
    seen = {f.rule: f for f in judge(history(**columns), Setup(objective)).findings}
    assert seen[name].onset_epoch == onset


def test_two_measurements_and_four_values_are_no_sign() -> None:
    assert "samples_alike" not in rules_of(None, pixel_variance=few(0.3, 0.3, 0.3, 0.05, 0.05))
    assert "recall_fell" not in rules_of(None, recall=few(0.8, 0.8, 0.8, 0.1, 0.1))
    assert "recall_fell" not in rules_of(None, recall=few(0.8, 0.1, 0.1, 0.1))
    assert "critic_overfits" not in rules_of(None, critic_overfit=few(2, 2))
    assert "critic_overfits" in rules_of(None, critic_overfit=few(2, 2, 2))
    assert "critic_overfits" in rules_of(None, critic_overfit=few(2, 2, 2, 2, 2, *[np.nan] * 3))
    assert "critic_overfits" not in rules_of(None, critic_overfit=few(*[2] * 5, *[np.nan] * 5))
    assert "critic_overfits" not in rules_of(None, critic_overfit=few(0.5, 0.5, 0.5, 2, 0.5))


def test_the_best_fid_is_that_of_a_median_and_named_when_it_was_measured() -> None:
    verdict = judge(history(fid_score=few(60, 50, 40, 55, 58, 90, 90, 90, 90, 90)))
    assert verdict.findings[0].evidence == "FID 90, 1.8 times its best median (50 at 199)"


def test_a_fid_of_rounding_errors_has_not_departed() -> None:
    assert "fid_departed" not in rules_of(None, fid_score=few(*[1e-5] * 7, *[9e-4] * 3))


def test_three_swings_are_a_trend_and_six_an_oscillation() -> None:
    t = 2 * np.pi * np.arange(ROWS) / (ROWS // 2)
    assert "oscillation" not in rules_of(None, d_loss=np.cos(3 * t))
    assert "oscillation" in rules_of(None, d_loss=np.cos(6 * t))


def test_a_gradient_that_is_there_at_times_is_none_that_starved() -> None:
    assert "generator_starved" not in rules_of(None, generator_grad_norm=0.5 + tails(-0.5, 0.5))


def test_a_loss_that_becomes_a_number_again_was_a_gap() -> None:
    d = level((20, 1)) + 0.1 * loud((20, 1))
    d[500:600] = np.nan
    whole = history(d_loss=d, epoch_time=np.ones(ROWS))
    going = Judge()
    assert "not_finite" in {f.rule for f in going.update(whole.until(599)).findings}
    assert going.update(whole) == judge(whole)


def test_advice_is_that_of_the_worst() -> None:
    failing = Finding("a", "x", "failing", "1 > 0", 9, "stop", "book")
    warning = Finding("b", "y", "warning", "1 > 0", 1, "watch", "book")
    assert Verdict.of([warning, failing]).advice == ("stop",)
