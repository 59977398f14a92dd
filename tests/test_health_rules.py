"""Every rule: the failure it is for, and the sound run it must leave alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.signal import lfilter

from tests.made_up_losses import Floats, healthy_hinge, healthy_wgan, history, noise, sparse
from wgan_jax.bands import BANDS, band
from wgan_jax.health.judge import Finding, Setup, Verdict, judge
from wgan_jax.health.past import Past
from wgan_jax.health.rules import RULES
from wgan_jax.history import History
from wgan_jax.keys import BY_KEY, EXTRA_KEYS

ROWS = 1000


def found(verdict: Verdict) -> dict[str, Finding]:
    return {finding.rule: finding for finding in verdict.findings}


def test_the_table_is_whole() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule.verdict in ("warning", "failing")
        assert all((rule.band, rule.cause, rule.advice, rule.source))
        keys = rule.metric.replace(" or ", ", ").split(", ")
        assert all(key in BY_KEY or key in EXTRA_KEYS for key in keys), rule.metric


def test_a_sign_cannot_read_what_no_past_keeps() -> None:
    """It would find nothing, ever, and nobody would know."""
    with pytest.raises(KeyError):
        Past(Setup()).windows("critic_grad_norm")


@pytest.mark.parametrize("seed", range(5))
def test_healthy_runs_have_no_findings(seed: int) -> None:
    fid = sparse(ROWS, 20, 10 + 100 * np.exp(-np.arange(50) / 5) + 0.5 * noise(50, seed))
    assert judge(history(**healthy_hinge(seed=seed)), Setup("hinge")) == Verdict(
        "healthy", None, ()
    )
    assert judge(history(**healthy_hinge(seed=seed), fid_score=fid), Setup("hinge")).findings == ()
    assert judge(history(**healthy_wgan(seed=seed)), Setup("wgan")).findings == ()
    assert judge(history(**healthy_wgan(seed=seed)), Setup("wgan_gp")).findings == ()


def test_a_loss_that_is_no_number_is_divergence_from_its_first_epoch() -> None:
    columns = healthy_hinge()
    columns["d_loss"][700] = np.inf
    finding = found(judge(history(**columns), Setup("hinge")))["not_finite"]
    assert (finding.cause, finding.verdict, finding.onset_epoch) == ("divergence", "failing", 700)


def test_nan_is_divergence_where_every_epoch_was_measured_and_a_gap_otherwise() -> None:
    columns = {**healthy_hinge(), "epoch_time": np.ones(ROWS)}
    columns["d_loss"][900:] = np.nan
    assert found(judge(history(**columns), Setup("hinge")))["not_finite"].onset_epoch == 900
    every_third = healthy_hinge(3 * ROWS)
    every_third["d_loss"][np.arange(3 * ROWS) % 3 != 0] = np.nan
    with_time = history(**every_third, epoch_time=np.ones(3 * ROWS))
    assert judge(with_time, Setup("hinge")).findings == ()


def test_a_critic_that_makes_no_error_is_overpowered() -> None:
    columns = healthy_hinge()
    columns["d_loss"][600:] = 0.001
    columns["g_loss"][600:] += 2
    finding = found(judge(history(**columns), Setup("hinge")))["critic_saturated"]
    assert (finding.cause, finding.verdict, finding.onset_epoch) == (
        "critic overpowered",
        "failing",
        600,
    )


@pytest.mark.parametrize("rows", [30, 60, 99])
def test_what_is_plain_is_seen_in_30_rows_and_no_fewer(rows: int) -> None:
    t = np.linspace(0, 1, rows)
    overpowered = {"d_loss": 0.3 * np.exp(-20 * t) + 1e-6, "g_loss": 2 + 16 * t}
    assert judge(history(**overpowered), Setup("nsgan")).causes == ("critic overpowered",)
    growing = {"d_loss": 10 ** (40 * t), "g_loss": 10 ** (40 * t)}
    assert judge(history(**growing)).causes == ("divergence",)
    for columns in (overpowered, growing):
        few = {key: column[:29] for key, column in columns.items()}
        assert judge(history(**few), Setup("nsgan")).findings == ()


def test_a_long_run_that_has_only_begun_is_not_judged_by_30_rows() -> None:
    columns = {"d_loss": np.full(60, 0.01), "g_loss": np.full(60, 5.0)}
    assert judge(history(**columns), Setup("nsgan", total_epochs=240)).verdict == "failing"
    assert judge(history(**columns), Setup("nsgan", total_epochs=244)).findings == ()


def test_samples_are_asked_before_few_losses() -> None:
    columns = {"d_loss": np.full(60, 0.01), "g_loss": np.full(60, 5.0)}
    for measured, fid, verdict in (
        (4, np.linspace(100, 40, 4), "healthy"),
        (5, np.linspace(100, 40, 5), "warning"),
        (5, np.full(5, 100.0), "failing"),
    ):
        both = history(**columns, fid_score=sparse(60, 60 // measured, fid))
        assert judge(both, Setup("nsgan", encoder="digits")).verdict == verdict


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [30, 60, 99])
def test_short_healthy_runs_have_no_findings(rows: int, seed: int) -> None:
    assert judge(history(**healthy_hinge(rows, seed)), Setup("hinge")).findings == ()
    assert judge(history(**healthy_wgan(rows, seed)), Setup("wgan")).findings == ()


def test_a_small_loss_while_fakes_still_teach_the_critic_is_sound() -> None:
    t = np.linspace(0, 1, ROWS)
    columns = {
        "d_loss": 0.02 + 0.5 * np.exp(-3 * t) + 0.004 * noise(ROWS),
        "g_loss": 0.8 * t + 0.05 * noise(ROWS, 1),
    }
    assert judge(history(**columns), Setup("hinge")).verdict == "healthy"


@pytest.mark.parametrize("offset", [0.0, 5.5])
def test_a_loss_on_its_floor_is_found_without_objective_or_offset(offset: float) -> None:
    d = offset + 0.5 + 0.1 * noise(ROWS)
    bursts = np.where(np.arange(ROWS) % 10 == 0, 1.0, 0.0)
    d[500:] = offset + 0.001 * np.abs(noise(ROWS)[500:]) + bursts[500:]
    finding = found(judge(history(d_loss=d, g_loss=2 + 0.3 * noise(ROWS, 1))))
    assert finding["critic_on_floor"].onset_epoch == 500


def test_a_gap_that_vanished_is_a_dead_critic() -> None:
    columns = healthy_wgan()
    columns["d_loss"][300:] = 1e-9
    columns["wasserstein_distance"] = -2 * columns["d_loss"]
    finding = found(judge(history(**columns), Setup("wgan")))["critic_dead"]
    assert (finding.cause, finding.onset_epoch) == ("dead critic", 300)
    assert "clip" in finding.advice


def test_a_gap_that_never_was_is_a_dead_critic_where_g_rests_too() -> None:
    """As of features that are all 0. In few digits a small gap is 0 as well, but G moves."""
    columns = {"d_loss": np.zeros(ROWS), "g_loss": np.full(ROWS, -0.02)}
    assert judge(history(**columns), Setup("wgan")).causes == ("dead critic",)
    columns["g_loss"] = np.round(-0.02 + 0.01 * noise(ROWS), 2)
    assert "dead critic" not in judge(history(**columns), Setup("wgan")).causes


def test_a_loss_that_came_to_rest_is_a_dead_critic_that_nobody_clipped() -> None:
    columns = healthy_hinge()
    columns["d_loss"][300:] = 1.37
    verdict = judge(history(**columns), Setup("hinge"))
    finding = found(verdict)["critic_at_rest"]
    assert (finding.cause, finding.verdict, finding.onset_epoch) == ("dead critic", "failing", 300)
    assert not any("clip" in advice for advice in verdict.advice)


@pytest.mark.parametrize(
    ("objective", "level"),
    [
        ("nsgan", np.log(2)),
        ("nsgan", 2 * np.log(2)),  # the terms summed
        ("nsgan", 8.059),  # half of -log 1e-7, where Keras clamps
        ("lsgan", 0.25),
        ("hinge", 1.5),
        (None, 50.0),  # half of where PyTorch clamps
    ],
)
def test_a_loss_that_never_moved_is_a_dead_critic(objective: str | None, level: float) -> None:
    for scatter, moves in ((0.0, False), (1e-4, False), (6e-4, True)):
        columns = {"d_loss": level * (1 + scatter * noise(ROWS)), "g_loss": 0.1 * noise(ROWS, 1)}
        rule = found(judge(history(**columns), Setup(objective))).get("critic_at_rest")
        assert (rule is None) is moves  # 90 % of noise lies within 1.6 times its σ
    assert (
        judge(history(d_loss=np.full(ROWS, level)), Setup(objective, total_epochs=5000)).findings
        == ()
    )


def test_a_loss_that_drifts_slowly_does_not_rest() -> None:
    d = np.log(2) * np.linspace(1, 0.99, ROWS)  # a window spans 0.0005 of it, a quarter 0.0025
    assert (
        judge(history(d_loss=d, g_loss=0.7 + 0.1 * noise(ROWS, 1)), Setup("nsgan")).findings == ()
    )


def test_good_samples_overrule_a_loss_at_rest() -> None:
    columns = {"d_loss": np.full(ROWS, 0.7), "fid_score": sparse(ROWS, 20, np.linspace(99, 9, 50))}
    assert judge(history(**columns), Setup("nsgan")).verdict == "warning"


@pytest.mark.parametrize("objective", ["hinge", "nsgan"])
def test_a_critic_that_rests_at_its_floor_is_overpowered_and_not_dead(objective: str) -> None:
    columns = healthy_hinge()
    columns["d_loss"][500:] = 1e-7
    columns["g_loss"][500:] += 4
    verdict = judge(history(**columns), Setup(objective))
    assert verdict.causes[0] == "critic overpowered"
    assert "dead critic" not in verdict.causes


def test_a_score_gap_lost_in_wandering_scores_is_a_lost_critic() -> None:
    columns = healthy_wgan()
    columns["d_loss"][500:] *= 0.002
    columns["g_loss"] = columns["g_loss"] + 0.5 * noise(ROWS, 4)
    finding = found(judge(history(**columns), Setup("wgan")))["gap_drowned"]
    assert (finding.cause, finding.onset_epoch) == ("critic lost", 500)


@pytest.mark.parametrize("rows", [200, 1000])
def test_a_loss_that_fell_to_nothing_is_an_overpowered_critics(rows: int) -> None:
    d = np.exp(np.linspace(0, -16, rows)) * np.random.default_rng(1).uniform(0.5, 1.5, rows)
    for objective, columns in ((None, {}), ("lsgan", {"g_loss": np.full(rows, 0.004)})):
        verdict = judge(history(d_loss=d, **columns), Setup(objective))
        assert verdict.verdict == "failing"
        assert "critic overpowered" in verdict.causes
        assert "dead critic" not in verdict.causes


def test_a_hinge_critic_at_chance_may_teach_all_the_same() -> None:
    """On the digits it does: D from 0.98 to 1 while FID falls from 19 to 5."""
    columns = {"d_loss": 2 + 0.005 * noise(ROWS), "g_loss": 0.01 * noise(ROWS, 1)}
    verdict = judge(history(**columns), Setup("hinge"))
    assert (verdict.verdict, verdict.causes) == ("warning", ("critic guesses",))
    assert judge(history(**columns), Setup("hinge", total_epochs=5000)).verdict == "healthy"
    columns["fid_score"] = sparse(ROWS, 20, np.linspace(19, 5, 50))
    assert judge(history(**columns), Setup("hinge")).verdict == "healthy"


def test_a_log_loss_critic_that_guesses_with_bursts_lies_on_no_floor() -> None:
    bursts = np.abs(noise(ROWS, 2)) * (np.arange(ROWS) % 7 == 0)
    for terms in (1, 2):
        d = terms * (np.log(2) + 0.005 * noise(ROWS) + bursts)
        columns = {"d_loss": d, "g_loss": 0.74 + 0.4 * noise(ROWS, 1)}
        assert judge(history(**columns), Setup("nsgan")).verdict == "healthy"
        columns["d_loss"] = d - terms * 0.5
        assert "critic_on_floor" in found(judge(history(**columns), Setup("nsgan")))


def stands(rows: int = ROWS) -> dict[str, Floats]:
    """A Wasserstein game in which the critic has learnt all, and the generator nothing."""
    t = np.arange(rows)
    return {
        "d_loss": -1.3 * (1 - np.exp(-t / 20)) + 0.03 * noise(rows),
        "g_loss": 0.02 * np.sin(t / 50) + 0.01 * noise(rows, 1),
    }


def test_a_gap_that_nothing_brings_down_is_a_standstill() -> None:
    verdict = judge(history(**stands()), Setup("wgan"))
    assert (verdict.causes, verdict.onset_epoch) == (("standstill",), 250)
    assert judge(history(**stands())).verdict == "healthy"  # of other games a sound one may look so


def test_a_fid_that_departs_from_an_overfitting_critic_is_overfitting_and_no_collapse() -> None:
    fid = sparse(ROWS, 100, np.array([50, 20, 10, 9, 9, 10, 16, 17, 18, 19.0]))
    overfit = sparse(ROWS, 100, np.array([0, 0.3, 0.7, 0.9, 1.1, 1.2, 1.3, 1.3, 1.4, 1.5]))
    seen = found(judge(history(fid_score=fid, critic_overfit=overfit)))
    assert set(seen) == {"overfit_departed", "critic_overfits"}
    assert seen["critic_overfits"].onset_epoch < seen["overfit_departed"].onset_epoch
    assert seen["overfit_departed"].verdict == "failing"
    assert "times its best median" in seen["overfit_departed"].evidence
    assert "140% of the way" in seen["overfit_departed"].evidence
    for unsteady in ([0, 0.3, 0.7, 0.9, 1.1, 1.2, 0.9, 1.3, 1.4, 0.9], [1.2] * 10):
        overfit = sparse(ROWS, 100, np.array(unsteady))
        seen = found(judge(history(fid_score=fid, critic_overfit=overfit)))
        assert set(seen) == {"overfit_departed", "critic_overfits"}
    late = sparse(ROWS, 100, np.array([0, 0, 0, 0, 0, 0, 0, 1.3, 1.4, 1.5]))
    seen = found(judge(history(fid_score=fid, critic_overfit=late)))
    assert set(seen) == {"fid_departed", "critic_overfits"}


def test_a_gap_stands_in_the_beginning_of_a_slow_game_and_at_the_end_of_one_that_has_settled() -> (
    None
):
    late = History()
    late.extend(np.arange(ROWS) + 51 * ROWS // 1000, stands())
    assert judge(late, Setup("wgan")).verdict == "healthy"
    for opening, said in ((100, "failing"), (101, "healthy")):
        assert judge(history(**stands()), Setup("wgan", opening=opening)).verdict == said


def test_a_sudden_change_of_noise_is_a_change_of_regime() -> None:
    columns = healthy_hinge()
    columns["d_loss"][600:] = 0.7 + 0.5 * noise(ROWS)[600:]
    finding = found(judge(history(**columns), Setup("hinge")))["regime_change"]
    assert finding.onset_epoch == 600


@pytest.mark.parametrize(
    ("before", "after", "is_change"),
    [
        (1.02, 0.996, False),  # a lower learning rate: quieter, at the same level
        (1.02, 0.7, True),  # fell by twice the former noise
        (0.09, 0.07, False),
        (0.09, 0.03, True),  # to a third: the floor is near
    ],
)
def test_a_quieter_critic_changed_its_regime_only_if_its_loss_fell(
    before: float, after: float, is_change: bool
) -> None:
    first = np.arange(ROWS) < 600
    d = np.where(first, before + 0.12 * noise(ROWS), after + 0.03 * noise(ROWS))
    finding = found(judge(history(d_loss=d, g_loss=1 + 0.1 * noise(ROWS, 1)), Setup("hinge")))
    assert ("regime_change" in finding) is is_change


def test_noise_that_grows_while_nothing_is_gained_is_unsettled() -> None:
    t = np.linspace(0, 1, 2 * ROWS)
    d = 5 + np.exp(-6 * t) + (0.05 + 0.15 * t) * noise(2 * ROWS)
    verdict = judge(history(d_loss=d, g_loss=noise(2 * ROWS, 1)))
    assert "unsettled game" in verdict.causes
    falling = d - 3 * t
    assert judge(history(d_loss=falling, g_loss=noise(2 * ROWS, 1))).verdict == "healthy"


def test_bursts_about_a_level_that_wanders_are_no_unsettled_game() -> None:
    """Noise that goes with D's level: nothing changes in these games."""
    accused = 0
    for seed in range(0, 40, 2):
        wanders = lfilter([0.3], [1, -0.95], noise(600, seed))
        d = 0.5 * np.exp(0.5 * wanders + 0.3 * noise(600, seed + 1))
        accused += "unsettled game" in judge(history(d_loss=d)).causes
    assert accused <= 1


def test_noise_that_grows_tenfold_is_divergence() -> None:
    columns = healthy_wgan()
    columns["g_loss"] = columns["g_loss"] + np.linspace(0, 2, ROWS) ** 4 * noise(ROWS, 3)
    assert found(judge(history(**columns), Setup("wgan")))["losses_wild"].cause == "divergence"


def test_a_loss_that_grows_without_bound_is_divergence() -> None:
    growing = np.exp(np.linspace(0, 12, ROWS))
    verdict = judge(history(d_loss=-growing, g_loss=growing), Setup("wgan"))
    assert found(verdict)["losses_run_away"].verdict == "failing"


def test_a_limit_cycle_is_an_oscillation_and_noise_is_not() -> None:
    columns = healthy_hinge()
    columns["d_loss"] += 0.3 * np.sin(np.arange(ROWS) * 2 * np.pi / 50)
    finding = found(judge(history(**columns), Setup("hinge")))["oscillation"]
    assert finding.verdict == "warning"
    assert "period of 50 epochs" in finding.evidence


@pytest.mark.parametrize(
    ("rows", "share"),
    [(1000, "100%"), (1002, "90%")],  # the last half's 501 have a bin half a step beside it
)
def test_values_that_alternate_carry_the_share_of_variance_that_they_have(
    rows: int, share: str
) -> None:
    turn = (-1.0) ** np.arange(rows)
    g = 1 + 0.1 * noise(rows, 1)
    few = 1 + 0.1 * (0.3**0.5 * turn + 0.7**0.5 * noise(rows))
    assert "oscillation" not in found(judge(history(d_loss=few, g_loss=g)))
    finding = found(judge(history(d_loss=1 + 0.1 * turn, g_loss=g)))["oscillation"]
    assert finding.evidence == f"{share} of D's variance swings with a period of 2 epochs"


def test_a_constant_loss_does_not_oscillate() -> None:
    flat = {"d_loss": np.full(ROWS, 0.7), "g_loss": np.full(ROWS, 0.7)}
    assert "oscillation" not in found(judge(history(**flat)))


def test_fid_that_leaves_its_best_is_a_collapse_from_there() -> None:
    fid = np.concatenate([np.linspace(100, 20, 30), np.linspace(20, 80, 20)])
    verdict = judge(history(**healthy_hinge(), fid_score=sparse(ROWS, 20, fid)), Setup("hinge"))
    finding = found(verdict)["fid_departed"]
    first = int(np.flatnonzero(fid[30:] >= 30)[0]) + 30
    assert finding.onset_epoch == 20 * first + 19
    assert verdict.onset_epoch == finding.onset_epoch


def test_one_bad_fid_is_no_collapse() -> None:
    fid = np.full(50, 20.0)
    fid[-1] = 200
    fid[30] = 90
    both = history(**healthy_hinge(), fid_score=sparse(ROWS, 20, fid))
    assert judge(both, Setup("hinge")).verdict == "healthy"


def test_one_good_fid_is_no_best_to_fall_from() -> None:
    fid, score = np.full(50, 20.0), np.full(50, 6.0)
    fid[30], score[30] = 8, 12
    odd = {
        "fid_score": sparse(ROWS, 20, fid),
        "inception_score_mean": sparse(ROWS, 20, score),
    }
    assert judge(history(**healthy_hinge(), **odd), Setup("hinge")).verdict == "healthy"


def test_a_best_is_named_when_it_was_measured() -> None:
    fid = np.array([90.0, 8, 42, 40, 60, 70, 80])  # medians of three: 42, 40, 42, 60, 70
    score = np.array([2.0, 9, 5, 6, 4, 4, 4])  # 5, 6, 5, 4, 4
    columns = {
        "fid_score": sparse(700, 100, fid),
        "inception_score_mean": sparse(700, 100, score),
    }
    said = found(judge(history(**healthy_hinge(700), **columns), Setup("hinge")))
    assert said["fid_departed"].evidence == "FID 70, 1.8 times its best median (40 at 399)"
    assert said["score_fell"].evidence == "IS 4, was 6 at 399"
    assert (said["fid_departed"].onset_epoch, said["score_fell"].onset_epoch) == (499, 499)


@pytest.mark.parametrize("measured", [50, 1000])
def test_a_plateau_is_no_collapse_however_often_it_is_measured(measured: int) -> None:
    for seed in range(5):
        fid = 40 * np.exp(0.1 * noise(measured, seed))
        column = sparse(5 * measured, 5, fid)
        assert judge(history(fid_score=column), Setup(encoder="digits")).verdict == "healthy"


def test_fid_that_falls_fast_has_not_left_its_best() -> None:
    fid = 200 * 0.5 ** np.arange(10)
    score = 2.0 ** np.arange(10)
    columns = {
        "fid_score": sparse(ROWS, 100, fid),
        "inception_score_mean": sparse(ROWS, 100, score),
    }
    assert judge(history(**healthy_hinge(), **columns), Setup("hinge")).verdict == "healthy"


def test_good_samples_overrule_what_the_losses_say() -> None:
    columns = healthy_hinge()
    columns["d_loss"][600:] = 0.001 + 0.0001 * noise(ROWS)[600:]
    columns["g_loss"][600:] += 2
    assert judge(history(**columns), Setup("hinge")).verdict == "failing"
    fid = sparse(ROWS, 20, np.linspace(100, 20, 50))
    assert judge(history(**columns, fid_score=fid), Setup("hinge")).verdict == "warning"


@pytest.mark.parametrize(
    ("last_fid", "wide", "grown"),
    [(95, "failing", "failing"), (60, "warning", "failing"), (15, "warning", "warning")],
)
def test_samples_must_be_better_to_overrule_weights_that_grew(
    last_fid: int, wide: str, grown: str
) -> None:
    fid = sparse(ROWS, 20, np.linspace(100, last_fid, 50))
    for sigma, expected in ((np.full(ROWS, 1.5), wide), (np.linspace(1.1, 2.0, ROWS), grown)):
        columns = {**healthy_wgan(), "generator_weight_std": sigma, "fid_score": fid}
        verdict = judge(history(**columns), Setup("wgan"))
        assert (verdict.verdict, verdict.causes) == (expected, ("learning rate too high",))


def test_inception_score_that_falls_is_a_collapse() -> None:
    score = np.concatenate([np.linspace(2, 8, 30), np.full(20, 5.0)])
    columns = {**healthy_hinge(), "inception_score_mean": sparse(ROWS, 20, score)}
    assert (
        found(judge(history(**columns), Setup("hinge")))["score_fell"].onset_epoch == 20 * 30 + 19
    )


def test_fid_that_stays_poor_has_never_trained_by_inception_only() -> None:
    columns = {**healthy_hinge(), "fid_score": sparse(ROWS, 20, 200 + noise(50))}
    assert "never trained" in judge(history(**columns), Setup("hinge", encoder="inception")).causes
    assert judge(history(**columns), Setup("hinge", encoder="digits")).verdict == "healthy"
    early = judge(history(**columns), Setup("hinge", encoder="inception", total_epochs=10_000))
    assert early.verdict == "healthy"


def test_moderate_fid_that_stops_improving_is_a_plateau() -> None:
    fid = np.concatenate([np.linspace(300, 120, 20), np.full(30, 122.0)])
    columns = {**healthy_hinge(), "fid_score": sparse(ROWS, 20, fid)}
    verdict = judge(history(**columns), Setup("hinge", encoder="inception"))
    assert (verdict.verdict, verdict.causes) == ("warning", ("plateau",))


def test_samples_that_become_alike_are_a_mode_collapse() -> None:
    variance = np.concatenate([np.full(5, 0.3), np.full(5, 0.05)])
    columns = {**healthy_wgan(), "pixel_variance": sparse(ROWS, 100, variance)}
    finding = found(judge(history(**columns), Setup("wgan")))["samples_alike"]
    assert (finding.cause, finding.onset_epoch) == ("mode collapse", 599)


def test_samples_that_were_always_alike_are_a_mode_collapse_but_not_at_the_start() -> None:
    columns = {**healthy_wgan(), "pixel_variance": sparse(ROWS, 100, np.full(10, 1e-4))}
    assert judge(history(**columns), Setup("wgan")).causes == ("mode collapse",)
    assert judge(history(**columns), Setup("wgan", total_epochs=10_000)).verdict == "healthy"


def alike(variance: list[float]) -> bool:
    """Whether samples of which this was measured are called alike."""
    column = sparse(100 * len(variance), 100, np.array(variance))
    columns = {**healthy_wgan(len(column)), "pixel_variance": column}
    return "samples_alike" in found(judge(history(**columns), Setup("wgan")))


def test_samples_that_differ_as_the_data_do_are_not_alike() -> None:
    columns = {**healthy_wgan(), "pixel_variance": sparse(ROWS, 100, np.full(10, 0.04))}
    for real, verdict in ((0.036, "healthy"), (0.09, "failing"), (0.5, "failing")):
        data = sparse(ROWS, 100, np.full(10, real))
        found = judge(history(**columns, real_pixel_variance=data), Setup("wgan"))
        assert found.verdict == verdict, real


def test_dark_images_differ_little_and_their_samples_yield_to_fid() -> None:
    columns = {**healthy_wgan(), "pixel_variance": sparse(ROWS, 100, np.full(10, 0.04))}
    fid = sparse(ROWS, 100, np.linspace(200, 60, 10))
    assert judge(history(**columns, fid_score=fid), Setup("wgan")).verdict == "warning"
    assert (
        judge(history(**columns, fid_score=np.maximum(fid, 110)), Setup("wgan")).verdict
        == "failing"
    )


@pytest.mark.parametrize("measured", [3, 4, 5, 6, 7])
def test_samples_that_grow_apart_from_near_0_are_young(measured: int) -> None:
    variance = [5.1e-6, 1.7e-4, 1.6e-3, 9.6e-3, 0.032, 0.065, 0.15]  # of a run that came to 0.44
    assert not alike(variance[:measured])


@pytest.mark.parametrize(
    ("variance", "is_collapse"),
    [
        ([1e-3 * 1.09**i for i in range(8)], False),  # 1.3 times in three measurements
        ([1e-3 * 1.06**i for i in range(8)], True),  # 1.19 times, as settled ones may vary
        ([1e-3, 4e-3, 2e-3, 2e-3], True),  # fell back
        ([0.3, 0.3, 1e-3, 2e-3, 4e-3, 8e-3], True),  # far below its best
        ([1e-34 * 10**i for i in range(8)], True),  # rounding
        ([1.2e-5 * 1.47**i for i in range(8)], True),  # a frozen generator's averages settle
    ],
)
def test_growth_is_told_from_what_settled_fell_or_was_rounded(
    variance: list[float], is_collapse: bool
) -> None:
    assert alike(variance) is is_collapse


@pytest.mark.parametrize(
    ("fid", "causes"),
    [
        ([135, 143, 153, 151, 150], ("mode collapse",)),  # never better than the first
        ([135, 143, 153, 122, 150], ("mode collapse",)),  # hardly: 0.904 of it
        ([135, 143, 153, 150, 121], ()),  # 0.896 of it
    ],
)
def test_growth_that_brings_samples_no_nearer_to_the_data_is_no_excuse(
    fid: list[float], causes: tuple[str, ...]
) -> None:
    columns = {
        "pixel_variance": sparse(500, 100, np.array([0.004, 0.004, 0.004, 0.005, 0.009])),
        "fid_score": sparse(500, 100, np.array(fid)),
    }
    verdict = judge(history(**healthy_wgan(500), **columns), Setup("wgan", encoder="digits"))
    assert verdict.causes == causes


def test_recall_that_falls_is_a_mode_collapse() -> None:
    recall = np.concatenate([np.full(6, 0.5), np.full(4, 0.05)])
    columns = {**healthy_wgan(), "recall": sparse(ROWS, 100, recall)}
    assert judge(history(**columns), Setup("wgan")).causes == ("mode collapse",)


def test_log_loss_stuck_in_the_guides_band_is_a_collapse_and_fluctuating_is_not() -> None:
    stuck = {"d_loss": 0.735 + 0.002 * noise(ROWS), "g_loss": 0.7 + 0.1 * noise(ROWS, 1)}
    assert "mode collapse" in judge(history(**stuck), Setup("nsgan")).causes
    sound = {"d_loss": 0.7 + 0.02 * noise(ROWS), "g_loss": 0.8 + 0.1 * noise(ROWS, 1)}
    assert judge(history(**sound), Setup("nsgan")).verdict == "healthy"


@pytest.mark.parametrize(("level", "is_collapse"), [(1.47, True), (1.40, False), (2.2, False)])
def test_summed_log_loss_is_stuck_in_twice_the_guides_band(level: float, is_collapse: bool) -> None:
    columns = {"d_loss": level + 0.004 * noise(ROWS), "g_loss": 0.7 + 0.1 * noise(ROWS, 1)}
    assert ("stuck_at_chance" in found(judge(history(**columns), Setup("nsgan")))) is is_collapse


def test_accuracies_stuck_at_half_and_one_are_a_collapse() -> None:
    columns = {
        "d_loss": 0.7 + 0.02 * noise(ROWS),
        "g_loss": 0.8 + 0.1 * noise(ROWS, 1),
        "d_accuracy": 0.5 + 0.001 * noise(ROWS, 2),
        "g_accuracy": np.full(ROWS, 0.995),
    }
    assert judge(history(**columns), Setup("nsgan")).causes == ("mode collapse",)
    columns["d_accuracy"] = 0.6 + 0.02 * noise(ROWS, 2)
    columns["g_accuracy"] = 0.9 + 0.02 * noise(ROWS, 3)
    assert judge(history(**columns), Setup("nsgan")).verdict == "healthy"


def test_weights_are_watched() -> None:
    sound = {**healthy_wgan(), "generator_weight_std": np.full(ROWS, 0.05)}
    assert judge(history(**sound), Setup("wgan")).verdict == "healthy"
    vanishing = {**sound, "generator_weight_std": 0.05 * np.exp(-np.linspace(0, 9, ROWS))}
    assert judge(history(**vanishing), Setup("wgan")).causes == ("dead generator",)
    growing = {**sound, "generator_weight_std": 0.05 * np.exp(np.linspace(0, 9, ROWS))}
    assert "divergence" in judge(history(**growing), Setup("wgan")).causes
    large = {**sound, "generator_weight_std": np.full(ROWS, 5.0)}
    assert judge(history(**large), Setup("wgan")).causes == ("learning rate too high",)
    grown = {**sound, "generator_weight_std": np.linspace(1.1, 2.0, ROWS)}
    assert judge(history(**grown), Setup("wgan")).causes == ("learning rate too high",)
    unclipped = {**sound, "critic_weight_std": np.linspace(0.005, 0.02, ROWS)}
    verdict = judge(history(**unclipped), Setup("wgan", clip=0.01))
    assert verdict.causes == ("clipping broken",)
    assert 330 <= (verdict.onset_epoch or 0) <= 336


@pytest.mark.parametrize(("share", "verdict"), [(0.6, "warning"), (0.3, "healthy")])
def test_clip_share_above_half_warns_only_if_it_persists(share: float, verdict: str) -> None:
    columns = {**healthy_wgan(), "clip_ratio": np.full(ROWS, share)}
    assert judge(history(**columns), Setup("wgan")).verdict == verdict
    falling = {**healthy_wgan(), "clip_ratio": np.linspace(0.9, 0.1, ROWS)}
    assert judge(history(**falling), Setup("wgan")).verdict == "healthy"


def test_a_critic_with_all_weights_at_the_boundary_is_dead_unless_samples_are_good() -> None:
    pinned = {**healthy_wgan(), "clip_ratio": np.full(ROWS, 0.99)}
    assert judge(history(**pinned), Setup("wgan")).causes == ("dead critic",)
    good = sparse(ROWS, 20, np.linspace(100, 20, 50))
    assert judge(history(**pinned, fid_score=good), Setup("wgan")).verdict == "warning"


def test_what_another_loss_clips_is_no_weight_of_its_critic() -> None:
    columns = {**healthy_hinge(), "clip_ratio": np.full(ROWS, 1.0)}
    assert judge(history(**columns), Setup("hinge")).verdict == "healthy"


def test_a_generator_without_gradient_has_a_dead_critic() -> None:
    gradient = np.full(ROWS, 0.1)
    gradient[400:] = 1e-12
    starved = judge(history(**healthy_wgan(), generator_grad_norm=gradient), Setup("wgan"))
    assert (starved.causes, starved.onset_epoch) == (("dead critic",), 400)


def test_ratio_of_losses_warns_where_the_guide_says_and_the_gap_agrees() -> None:
    strong = {**healthy_wgan(), "dg_ratio": np.full(ROWS, 2.0)}
    assert judge(history(**strong), Setup("wgan")).causes == ("critic strong",)
    assert judge(history(**strong)).causes == ("critic strong",)
    low = {**healthy_wgan(), "dg_ratio": np.full(ROWS, 0.002)}
    assert judge(history(**low), Setup("wgan")).verdict == "healthy"
    low["wasserstein_distance"] = np.exp(-np.linspace(0, 9, ROWS)) + 1e-4 * noise(ROWS)
    assert "ratio_low" in found(judge(history(**low), Setup("wgan")))


@pytest.mark.parametrize("objective", ["nsgan", "hinge", "lsgan"])
def test_a_critic_that_guesses_is_not_called_strong(objective: str) -> None:
    balance = {
        "d_loss": 0.70 + 0.02 * noise(ROWS),
        "g_loss": 0.68 + 0.02 * noise(ROWS, 1),
        "dg_ratio": np.full(ROWS, 1.03),
    }
    assert judge(history(**balance), Setup(objective)).findings == ()


@pytest.mark.parametrize(
    ("metric", "value", "name"),
    [
        ("fid_score", 49.9, "excellent"),
        ("fid_score", 50.0, "good"),
        ("fid_score", 333.1, "fair"),
        ("fid_score", 401.0, "poor"),
        ("inception_score_mean", 2.12, "moderate"),
        ("pixel_variance", 0.296, "healthy"),
        ("pixel_variance", 0.05, "mode collapse"),
        ("dg_ratio", 0.0475, "generator-heavy"),
        ("dg_ratio", 0.07, "balanced"),
        ("clip_ratio", 0.0, "converged"),
        # The edges, as the guide writes them: ">400", ">4.0", "0.2-0.5" beside "<0.1", ...
        ("fid_score", 400.0, "fair"),
        ("inception_score_mean", 4.0, "moderate"),
        ("inception_score_mean", 2.0, "moderate"),
        ("pixel_variance", 0.5, "healthy"),
        ("pixel_variance", 0.2, "healthy"),
        ("pixel_variance", 0.1, "low"),
        ("dg_ratio", 1.0, "critic-heavy"),
        ("dg_ratio", 0.1, "balanced"),
        ("dg_ratio", 0.05, "balanced"),
        ("dg_ratio", 0.01, "generator-heavy"),
        ("clip_ratio", 0.2, "settling"),
        ("clip_ratio", 0.5, "normal early"),
        ("d_loss", 0.71, "healthy if it fluctuates"),
        ("d_loss", 0.75, "collapse if stuck"),
        ("d_accuracy", 0.7, "healthy"),
        ("g_accuracy", 0.95, "healthy"),
        ("g_accuracy", 0.99, "collapse"),
    ],
)
def test_the_guides_bands(metric: str, value: float, name: str) -> None:
    row = band(metric, value, objective="wgan" if metric == "dg_ratio" else "nsgan")
    assert row is not None
    assert row.name == name


def test_inceptions_bands_hold_for_inception_and_log_losses_for_log_loss() -> None:
    assert band("fid_score", 20.0, encoder="digits") is None
    assert band("d_loss", 0.7) is None
    assert band("d_loss", 0.7, objective="nsgan") is not None


def test_the_ratios_bands_hold_for_wasserstein_losses() -> None:
    assert band("dg_ratio", 1.01, objective="nsgan") is None
    for objective in ("wgan", "wgan_gp", None):
        row = band("dg_ratio", 1.01, objective=objective)
        assert row is not None
        assert row.name == "critic strong"


def test_bands_of_a_metric_do_not_overlap() -> None:
    for metric in {row.metric for row in BANDS}:
        rows = sorted((row.low, row.high) for row in BANDS if row.metric == metric)
        assert all(high <= low for (_, high), (low, _) in itertools.pairwise(rows))
