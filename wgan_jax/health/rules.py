"""The health rules: one table. A rule names what it watches, how bad it is, and what to do.

The signs they look for are functions of a `Past`, in `losses`, `samples` and `networks`. Plain
floats: nothing here knows jax, or how a run was trained.
"""

from __future__ import annotations

from dataclasses import dataclass

from wgan_jax.health import losses, networks, samples
from wgan_jax.health.past import Past
from wgan_jax.health.signs import See
from wgan_jax.health.verdict import Finding, Level

GUIDE = "the training guide"
LOGS = "29 public StudioGAN logs; docs/diagnosis.md has the figures"
WGAN = "Arjovsky et al. 2017, section 3 and 4; Gulrajani et al. 2017, section 3"
ARITHMETIC = "arithmetic: what follows is not a number either"


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Attributes:
      name: short, unique; findings and figures refer to it.
      metric: the keys that it reads.
      band: when it applies, in words.
      cause: what is wrong then.
      verdict: how bad it is.
      advice: what to do.
      source: where it comes from.
      sees: the sign it looks for.
      yields: for a rule that infers failure from losses: it is lowered to a warning where FID is
        near its best, and the best at most this share of the first, and a warning is left out.
        0: never.
    """

    name: str
    metric: str
    band: str
    cause: str
    verdict: Level
    advice: str
    source: str
    sees: See
    yields: float = 0.0

    def apply(self, past: Past) -> Finding | None:
        """The finding, None where the rule does not apply."""
        sign = self.sees(past)
        if sign is None:
            return None
        overruled = self.yields > 0 and samples.good(past, self.yields)
        if overruled and self.verdict == "warning":
            return None
        return Finding(
            self.name,
            self.cause,
            "warning" if overruled else self.verdict,
            sign.evidence,
            sign.onset_epoch,
            self.advice,
            self.source,
            self.yields > 0,
        )


RULES: tuple[Rule, ...] = (
    Rule(
        "not_finite", "d_loss, g_loss", "infinite or not a number",
        "divergence", "failing",
        "Go back to the last checkpoint before it, with a learning rate 10 times lower.",
        ARITHMETIC, losses.not_finite,
    ),
    Rule(
        "losses_wild", "d_loss, g_loss", "noise 10 times its quietest past, D not falling",
        "divergence", "failing",
        "Lower both learning rates, to a half first; train from a checkpoint before the onset.",
        LOGS, losses.losses_wild, yields=0.75,
    ),
    Rule(
        "losses_run_away", "d_loss, g_loss", "10 times all of the first half of the run",
        "divergence", "failing",
        "Lower both learning rates, to a half first; train from a checkpoint before the onset.",
        "arithmetic: a loss that grows tenfold in half a run has no bound", losses.losses_run_away,
    ),
    Rule(
        "weights_grew", "critic_weight_std, generator_weight_std",
        "10 times their start, and growing",
        "divergence", "failing",
        "Lower the learning rate of the network that grew.",
        GUIDE, networks.weights_grew, yields=0.75,
    ),
    Rule(
        "weights_large", "generator_weight_std", "above 1",
        "learning rate too high", "failing",
        "Lower both learning rates, tenfold first.",
        "He et al. 2015, section 2.2: sound weights have a σ of about the root of 2 / fan-in",
        networks.weights_large, yields=0.9,
    ),
    Rule(
        "weights_grew_large", "generator_weight_std", "above 1, and 1.25 times their start",
        "learning rate too high", "failing",
        "Lower both learning rates, tenfold first.",
        "He et al. 2015, section 2.2; of games on the digits with such weights one did well",
        networks.weights_grew_large, yields=0.2,
    ),
    Rule(
        "critic_dead", "wasserstein_distance or d_loss",
        "below 1/1000 of its past, or 0 while G rests (Wasserstein)",
        "dead critic", "failing",
        "Stop: nothing is learned any more. No batch norm in a clipped critic, a larger clip "
        "threshold, or a gradient penalty instead of clipping.",
        WGAN, losses.critic_dead,
    ),
    Rule(
        "gap_drowned", "d_loss, g_loss", "D below 1 % of G's noise for a quarter (Wasserstein)",
        "critic lost", "failing",
        "Raise n_critic or the critic's learning rate, lower the generator's; watch the samples.",
        "reasoned; of 29 public logs it finds the dead critic and the borderline run",
        losses.gap_drowned, yields=0.75,
    ),
    Rule(
        "gap_stands", "d_loss, g_loss",
        "gap above half of its highest and not falling, G moved less (Wasserstein)",
        "standstill", "failing",
        "Look at the samples: they are as far from real images as ever. Check that updates reach "
        "both networks; raise the learning rate of the one that rests, the generator's first.",
        "Arjovsky et al. 2017, figure 3: where training failed, loss and samples are constant",
        losses.gap_stands, yields=0.75,
    ),
    Rule(
        "generator_starved", "generator_grad_norm", "below 1e-8 (the optimisers' eps)",
        "dead critic", "failing",
        "Stop: no gradient reaches the generator. Raise the clip threshold; no batch norm in a "
        "clipped critic.",
        WGAN, networks.generator_starved,
    ),
    Rule(
        "critic_pinned", "clip_ratio", "95 % or more over the last quarter (Wasserstein)",
        "dead critic", "failing",
        "Raise the clip threshold tenfold, or use a gradient penalty instead of clipping.",
        WGAN, networks.critic_pinned, yields=0.5,
    ),
    Rule(
        "critic_at_rest", "d_loss",
        "varies by less than 1/1000 of its past, or stays within 1/2000 (not Wasserstein)",
        "dead critic", "failing",
        "Stop: the critic learns nothing. Check its gradients, its learning rate, its data.",
        LOGS, losses.critic_at_rest, yields=0.75,
    ),
    Rule(
        "critic_saturated", "d_loss, g_loss", "D below 10 % of chance, G rejected (by objective)",
        "critic overpowered", "failing",
        "Take the best checkpoint. Lower the critic's learning rate or n_critic, regularise it "
        "(spectral norm, gradient penalty, augmentation).",
        LOGS, losses.critic_saturated, yields=0.75,
    ),
    Rule(
        "critic_on_floor", "d_loss", "upper tail over 12 times the lower tail, or at rest at 0",
        "critic overpowered", "failing",
        "Take the best checkpoint. Lower the critic's learning rate or n_critic, regularise it "
        "(spectral norm, gradient penalty, augmentation).",
        LOGS, losses.critic_on_floor, yields=0.75,
    ),
    Rule(
        "regime_change", "d_loss", "noise 3 times up or down within 5 % of the run, for good",
        "change of regime", "failing",
        "Look at the samples before and after the onset; go on from a checkpoint before it, with "
        "lower learning rates.",
        LOGS, losses.regime_change, yields=0.75,
    ),
    Rule(
        "critic_unsettled", "d_loss",
        "noise 1.75 times its quietest past, for its level too, D falls no more",
        "unsettled game", "failing",
        "Look at the samples since the onset; stop at the best checkpoint, or lower the learning "
        "rates from there.",
        LOGS, losses.critic_unsettled, yields=0.75,
    ),
    Rule(
        "fid_departed", "fid_score", "median of the last three 1.5 times the lowest such",
        "collapse", "failing",
        "Stop: take the best checkpoint, and start again from there with lower learning rates.",
        LOGS, samples.fid_departed,
    ),
    Rule(
        "overfit_departed", "fid_score, critic_overfit",
        "as fid_departed, after critic_overfits",
        "overfitting", "failing",
        "Stop: take the best checkpoint, and train on more images, augment them, or use a smaller "
        "critic.",
        "Karras et al. 2020, section 2 and 3", samples.overfit_departed,
    ),
    Rule(
        "score_fell", "inception_score_mean",
        "median of the last three below 0.75 of the highest such",
        "collapse", "failing",
        "Stop: take the best checkpoint, and start again from there with lower learning rates.",
        LOGS, samples.score_fell,
    ),
    Rule(
        "never_trained", "fid_score",
        "best 150 or more, hardly better for half the run (Inception)",
        "never trained", "failing",
        "Stop. Check the data's range ([-1, 1]), the learning rates, the networks, on a small run.",
        LOGS, samples.never_trained,
    ),
    Rule(
        "samples_alike", "pixel_variance",
        "below 0.1 (half of the data's, if less) or a quarter of its best, and not growing",
        "mode collapse", "failing",
        "Start from another seed or an earlier checkpoint, with a smaller batch, a lower learning "
        "rate or a larger n_critic.",
        GUIDE, samples.samples_alike, yields=0.5,
    ),
    Rule(
        "recall_fell", "recall", "below a quarter of its best",
        "mode collapse", "failing",
        "Start from another seed or an earlier checkpoint, with a smaller batch, a lower learning "
        "rate or a larger n_critic.",
        "Kynkäänniemi et al. 2019, section 3", samples.recall_fell,
    ),
    Rule(
        "stuck_at_chance", "d_loss, d_accuracy, g_accuracy",
        "D in 0.72-0.75 or twice that, or D accuracy 50 % and G accuracy 99 % (log loss)",
        "mode collapse", "failing",
        "Start from another seed, with a smaller batch or a lower learning rate.",
        GUIDE, networks.stuck_at_chance, yields=0.75,
    ),
    Rule(
        "generator_vanished", "generator_weight_std", "below a tenth of its start",
        "dead generator", "failing",
        "Lower the generator's learning rate; without weight decay its weights should not vanish.",
        GUIDE, networks.generator_vanished,
    ),
    Rule(
        "critic_bound_broken", "critic_weight_std", "above the clip threshold",
        "clipping broken", "failing",
        "The weights are not clipped to the threshold given: check the training step.",
        GUIDE, networks.critic_bound_broken,
    ),
    Rule(
        "ratio_low", "dg_ratio, wasserstein_distance", "below 0.01 while the gap is gone",
        "possible collapse", "warning",
        "Look at the samples; raise n_critic.",
        GUIDE, networks.ratio_low,
    ),
    Rule(
        "critic_at_chance", "d_loss", "within 0.02 of what scores of 0 cost (hinge)",
        "critic guesses", "warning",
        "Look at the samples: if they get no better, check the critic's gradients, its learning "
        "rate, its data.",
        "Lim and Ye 2017, section 3: the hinge loss at scores of 0; small sound games stay there",
        losses.critic_at_chance, yields=0.75,
    ),
    Rule(
        "critic_strong", "dg_ratio", "above 1 over the last quarter (Wasserstein)",
        "critic strong", "warning",
        "Watch FID; if it does not fall, lower n_critic or the critic's learning rate.",
        GUIDE, networks.critic_strong,
    ),
    Rule(
        "clip_high", "clip_ratio", "above 50 % over the last quarter (Wasserstein)",
        "clip threshold small", "warning",
        "Raise the clip threshold, or lower the critic's learning rate.",
        GUIDE, networks.clip_high,
    ),
    Rule(
        "oscillation", "d_loss", "one frequency has half of its variance",
        "oscillation", "warning",
        "Lower the learning rates or the momentum (b1) of both players.",
        "Mescheder et al. 2018, section 2", losses.oscillation,
    ),
    Rule(
        "critic_overfits", "critic_overfit", "median of the last three 1 or more",
        "overfitting", "warning",
        "The critic knows its images by heart: samples hardly get better any more, whatever FID "
        "against those images says. Train on more images, augment them, or use a smaller critic.",
        "Karras et al. 2020, section 3; docs/diagnosis.md has runs of our own",
        samples.critic_overfits,
    ),
    Rule(
        "plateau", "fid_score", "above 100 and no better for half the run (Inception)",
        "plateau", "warning",
        "More of the same will not help: a larger network, another objective, or more data.",
        GUIDE, samples.plateau,
    ),
)  # fmt: skip
