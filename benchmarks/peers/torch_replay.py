"""A recorded run of ours played again in PyTorch: our weights, images, latents; its arithmetic.

    python benchmarks/peers/torch_replay.py record.npz replay.npz

Needs torch only. The record is what `benchmarks/parity.py` writes. Everything here is said plainly,
in float64: autograd takes all gradients, of the penalty too, and convolutions are torch's own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent))
from torch_round import Residual, Settings, critic, generator, optimizer

DTYPE = torch.float64
KINDS = {
    nn.Conv2d: "Conv",
    nn.ConvTranspose2d: "Conv",
    nn.Linear: "Dense",
    nn.BatchNorm2d: "BatchNorm",
    nn.GroupNorm: "LayerNorm",
    Residual: "Residual",
}
# Scores -> what each player minimises, image by image.
REAL = {
    "wgan": lambda s: -s,
    "wgan_gp": lambda s: -s,
    "nsgan": lambda s: F.softplus(-s),
    "hinge": lambda s: F.relu(1 - s),
}
FAKE = {
    "wgan": lambda s: s,
    "wgan_gp": lambda s: s,
    "nsgan": F.softplus,
    "hinge": lambda s: F.relu(1 + s),
}
GENERATOR = {"nsgan": lambda s: F.softplus(-s)}


class Rows(nn.Module):
    """[n, c, h, w] -> [n, h w c], the order of ours."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Images(nn.Module):
    """[n, h w c] -> [n, c, h, w]."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = self.shape
        return x.reshape(-1, height, width, channels).permute(0, 3, 1, 2)


class Same(nn.Module):
    """A strided convolution padded as TensorFlow's SAME: an odd zero goes after the image."""

    def __init__(self, inner: nn.Conv2d) -> None:
        super().__init__()
        self.inner = inner
        inner.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for axis in (1, 0):  # F.pad begins with the last axis
            size, taps, stride = x.shape[2 + axis], self.inner.kernel_size, self.inner.stride
            zeros = max((-(-size // stride[axis]) - 1) * stride[axis] + taps[axis] - size, 0)
            pads += [zeros // 2, zeros - zeros // 2]
        return self.inner(F.pad(x, pads))


def as_ours(network: nn.Sequential) -> nn.Sequential:
    """The same network with our order of features, our padding and our norm's constant."""
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, nn.Flatten):
            layer = Rows()
        elif isinstance(layer, nn.Unflatten):
            layer = Images(layer.unflattened_size)
        elif isinstance(layer, nn.Conv2d) and layer.stride[0] > 1:
            layer = Same(layer)
        layers.append(layer)
    for norm in network.modules():
        if isinstance(norm, nn.GroupNorm):
            norm.eps = 1e-6  # Flax's
    return nn.Sequential(*layers)


def weights(network: nn.Module) -> Iterator[tuple[str, nn.Parameter, tuple[int, ...]]]:
    """Our name of each weight, the weight, and the axes that bring ours into torch's order."""
    count: dict[str, int] = {}
    for module in _parts(network):
        kind = next(name for type_, name in KINDS.items() if isinstance(module, type_))
        number = count[kind] = count.get(kind, -1) + 1
        if isinstance(module, Residual):
            yield from ((f"{kind}_{number}/{name}", *rest) for name, *rest in weights(module))
            continue
        for name, weight in module.named_parameters():
            ours = {"Conv": "kernel", "Dense": "kernel"}.get(kind, "scale")
            name = name.removesuffix("_orig")  # torch's word for a weight that is normalised
            axes: tuple[int, ...] = tuple(range(weight.ndim))
            if weight.ndim == 4:
                axes = (2, 3, 0, 1) if isinstance(module, nn.ConvTranspose2d) else (3, 2, 0, 1)
            elif weight.ndim == 2:
                axes = (1, 0)
            yield f"{kind}_{number}/{ours if name == 'weight' else 'bias'}", weight, axes


def _parts(network: nn.Module) -> Iterator[nn.Module]:
    """The parts that ours has names for, in order."""
    for part in network.children():
        if isinstance(part, tuple(KINDS)):
            yield part
        else:
            yield from _parts(part)


class Replay:
    """Both players from the record's weights."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.settings: Settings = json.loads(str(record["settings"]))
        self.record = record
        size, channels = record["real"].shape[2], record["real"].shape[4]
        self.players = {
            "critic": as_ours(critic(self.settings["critic"], size, channels)).to(DTYPE),
            "generator": as_ours(generator(self.settings, channels, False)).to(DTYPE),
        }
        with torch.no_grad():
            for player, network in self.players.items():
                for name, weight, axes in weights(network):
                    ours = torch.from_numpy(record[f"{player}/{name}"]).to(DTYPE)
                    weight.copy_(ours.permute(*axes))
            if self.settings["critic"]["normalization"] == "spectral":
                self.normalize_spectrally()
        self.optimizers = {
            player: optimizer(self.settings[f"{player}_optimizer"], network, False)
            for player, network in self.players.items()
        }
        self.updates = dict.fromkeys(self.players, 0)
        self.losses: list[float] = []

    def normalize_spectrally(self) -> None:
        """Torch's own spectral normalisation of the critic, from the record's directions."""
        network = self.players["critic"]
        names = {id(weight): name for name, weight, _ in weights(network)}
        for module in list(network.modules()):
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                direction = self.record[f"spectral/{names[id(module.weight)]}"]
                nn.utils.spectral_norm(module)
                module.weight_u.copy_(torch.from_numpy(direction))

    def critic_step(self) -> dict[str, Any]:
        s, objective = self.settings, self.settings["objective"]
        number = self.updates["critic"]
        noise = self.record["noise"][number] if "noise" in self.record else None
        real = self.images(self.record["real"][number], noise)
        with torch.no_grad():
            fake = self.players["generator"](self.floats(self.record["latents"][number]))
        real = self.augmented(real, "real_views", number)
        fake = self.augmented(fake, "fake_views", number)
        on_real, on_fake = self.scores(torch.cat([real, fake])).chunk(2)
        real_term, fake_term = REAL[objective](on_real).mean(), FAKE[objective](on_fake).mean()
        found = {
            "d_loss_real": real_term,
            "d_loss_fake": fake_term,
            "d_loss": 0.5 * (real_term + fake_term),
            "wasserstein_distance": on_real.mean() - on_fake.mean(),
        }
        loss = real_term + fake_term
        if objective == "nsgan":
            right = (on_real > 0).to(DTYPE).mean() + (on_fake < 0).to(DTYPE).mean()
            found["d_accuracy"] = 0.5 * right
        if objective == "wgan_gp":
            mix = self.floats(self.record["mix"][number])
            between = (fake + mix * (real - fake)).requires_grad_()
            (slopes,) = torch.autograd.grad(self.scores(between).sum(), between, create_graph=True)
            penalty = ((slopes.flatten(1).norm(dim=1) - 1) ** 2).mean()
            found["gradient_penalty"] = penalty
            loss = loss + s["gradient_penalty"] * penalty
        found["critic_grad_norm"] = self.update("critic", loss)
        if objective == "wgan":
            with torch.no_grad():
                for weight in self.players["critic"].parameters():
                    weight.clamp_(-s["clip"], s["clip"])
        return found

    def generator_step(self) -> dict[str, Any]:
        objective = self.settings["objective"]
        number = self.updates["generator"]
        latents = self.record["generator_latents"][number]
        kept = {name: value.clone() for name, value in self.players["critic"].named_buffers()}
        fake = self.players["generator"](self.floats(latents))
        scores = self.scores(self.augmented(fake, "generator_views", number))
        loss = GENERATOR.get(objective, REAL["wgan"])(scores).mean()
        found = {"g_loss": loss}
        if objective == "nsgan":
            found["g_accuracy"] = (scores > 0).to(DTYPE).mean()
        found["generator_grad_norm"] = self.update("generator", loss)
        for name, value in self.players["critic"].named_buffers():
            value.copy_(kept[name])  # ours moves the critic's directions in its own updates alone
        return found

    def round(self) -> dict[str, float]:
        for _ in range(self.settings["n_critic"]):
            found = self.critic_step()
        found |= self.generator_step()
        self.losses = [*self.losses, found["d_loss"].item()][-100:]
        for player, network in self.players.items():
            row = torch.cat([weight.detach().flatten() for weight in network.parameters()])
            found[f"{player}_weight_mean"] = row.mean()
            found[f"{player}_weight_std"] = row.std(correction=0)
            if player == "critic" and self.settings["objective"] == "wgan":
                edge = self.settings["clip"] * (1 - 1e-5)
                found["clip_ratio"] = (row.abs() >= edge).to(DTYPE).mean()
        found["dg_ratio"] = found["d_loss"].abs() / found["g_loss"].abs()
        found["loss_variance"] = np.var(self.losses)
        return {name: float(torch.as_tensor(value).detach()) for name, value in found.items()}

    def update(self, player: str, loss: Tensor) -> Tensor:
        """One step of the player's optimiser; the norm of its gradients."""
        s, tx = self.settings[f"{player}_optimizer"], self.optimizers[player]
        if s["schedule"] == "linear":
            part = self.updates[player] / int(self.record[f"{player}_updates"])
            tx.param_groups[0]["lr"] = s["learning_rate"] * (1 - part)
        for network in self.players.values():
            network.zero_grad(set_to_none=True)
        loss.backward()
        slopes = [weight.grad.flatten() for weight in self.players[player].parameters()]
        tx.step()
        self.updates[player] += 1
        return torch.cat(slopes).norm()

    def scores(self, images: Tensor) -> Tensor:
        return self.players["critic"](images)[:, 0]

    def images(self, batch: np.ndarray, noise: np.ndarray | None) -> Tensor:
        pixels = self.floats(batch).permute(0, 3, 1, 2)
        if noise is None:
            return pixels / 127.5 - 1
        return (pixels + self.floats(noise).permute(0, 3, 1, 2)) / 128 - 1

    def augmented(self, images: Tensor, views: str, number: int) -> Tensor:
        """Each image changed as was drawn for it, by itself: colour, then place, then a cut."""
        drawn = {
            kind: self.record[f"{views}/{kind}"][number]
            for kind in ("color", "translation", "cutout")
            if f"{views}/{kind}" in self.record
        }
        if not drawn:
            return images
        changed = []
        for i, image in enumerate(images):  # [c, h, w]
            size = image.shape[1]
            if "color" in drawn:
                brightness, saturation, contrast = map(float, drawn["color"][i])
                image = image + brightness - 0.5
                image = torch.lerp(image.mean(0, keepdim=True), image, 2 * saturation)
                image = torch.lerp(image.mean(), image, contrast + 0.5)
            if "translation" in drawn:
                down, right = map(int, drawn["translation"][i])
                image = F.pad(image, (size, size, size, size))
                image = image[:, size - down : 2 * size - down, size - right : 2 * size - right]
            if "cutout" in drawn:
                half, (row, column) = size // 4, map(int, drawn["cutout"][i])
                seen = torch.ones(size, size, dtype=DTYPE)
                seen[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 0
                image = image * seen
            changed.append(image)
        return torch.stack(changed)

    def floats(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(DTYPE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path, help="of benchmarks/parity.py")
    parser.add_argument("out", type=Path, help="where metrics and last weights are written")
    options = parser.parse_args()
    with np.load(options.record) as record:
        replay = Replay(dict(record))
    rows = [replay.round() for _ in replay.record["generator_latents"]]
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for player, network in replay.players.items():
        for name, weight, axes in weights(network):
            back = tuple(int(axis) for axis in np.argsort(axes))
            found[f"{player}/{name}"] = weight.detach().permute(*back).contiguous().numpy()
    np.savez(options.out, torch=torch.__version__, **found)


if __name__ == "__main__":
    main()
