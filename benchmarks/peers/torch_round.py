"""A round in PyTorch, of any experiment of this repository: the same networks, the same arithmetic.

    python benchmarks/peers/torch_round.py --settings settings.json --batch_size 64 [--phases]

Needs torch only. Images lie on the device as uint8; memory format channels_last; statistics are
taken once a round and fetched once, as ours are. `--compile` and `--graph` make it faster, each
alone or both.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serve import serve

Settings = dict[str, Any]
DTYPES = {"float32": None, "tf32": None, "bfloat16": torch.bfloat16}


class UpConv(nn.Conv2d):
    """Nearest 2x upsampling and a convolution; `phases`: as one small convolution to 4 features.

    Each 2x2 block of the result sees few distinct pixels, so the taps that meet the same one are
    added up first.
    """

    phases = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.phases:
            return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))
        folds, low = _folds(self.kernel_size[0])
        fold = torch.tensor(folds, device=x.device, dtype=self.weight.dtype)
        kernel = torch.einsum("adk,bel,oikl->oabide", fold, fold, self.weight)
        taps = kernel.shape[-1]
        pad = (low, taps - 1 - low, low, taps - 1 - low)
        small = F.conv2d(F.pad(x, pad), kernel.reshape(-1, *kernel.shape[3:]))
        shuffled = F.pixel_shuffle(small, 2)
        return shuffled if self.bias is None else shuffled + self.bias[:, None, None]


def _folds(size: int) -> tuple[list[list[list[float]]], int]:
    low = (size - 1) // 2
    reach = [[(phase + k - low) // 2 for k in range(size)] for phase in (0, 1)]
    first, last = min(map(min, reach)), max(map(max, reach))
    return [
        [[float(reach[p][k] == tap) for k in range(size)] for tap in range(first, last + 1)]
        for p in (0, 1)
    ], -first


def activation(s: Settings) -> nn.Module:
    return nn.ReLU() if s["activation"] == "relu" else nn.LeakyReLU(s["leak"])


def critic(s: Settings, size: int, channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    inputs = channels
    for i, (filters, stride) in enumerate(zip(s["filters"], s["strides"], strict=True)):
        pad = (s["kernel"] - 1) // 2
        layers.append(nn.Conv2d(inputs, filters, s["kernel"], stride, pad, bias=s["bias"]))
        if i and s["normalization"] == "layer":
            layers.append(nn.GroupNorm(1, filters))
        layers.append(activation(s))
        inputs, size = filters, -(-size // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * size**2, 1))


def generator(settings: Settings, channels: int, phases: bool) -> nn.Module:
    s, kernel = settings["generator"], settings["generator"]["kernel"]
    side = settings["image_size"] >> (len(s["filters"]) + s["double_output"])

    def double(inputs: int, outputs: int, bias: bool) -> nn.Module:
        if s["upsampling"] == "transposed":
            return nn.ConvTranspose2d(inputs, outputs, kernel, 2, (kernel - 2) // 2, bias=bias)
        layer = UpConv(inputs, outputs, kernel, padding=(kernel - 1) // 2, bias=bias)
        layer.phases = phases
        return layer

    def norm(features: int) -> list[nn.Module]:
        batch = nn.BatchNorm2d(features, eps=1e-5, momentum=1 - s["norm_momentum"])
        return ([batch] if s["normalization"] == "batch" else []) + [activation(s)]

    inputs = s["base_filters"]
    layers = [nn.Linear(settings["latent_dim"], side * side * inputs)]
    layers += [nn.Unflatten(1, (inputs, side, side)), *norm(inputs)]
    for filters in s["filters"]:
        layers += [double(inputs, filters, s["bias"]), *norm(filters)]
        inputs = filters
    if s["double_output"]:
        layers.append(double(inputs, channels, True))
    else:
        layers.append(nn.Conv2d(inputs, channels, kernel, padding=(kernel - 1) // 2))
    return nn.Sequential(*layers, nn.Tanh())


def optimizer(s: Settings, model: nn.Module, graphs: bool) -> torch.optim.Optimizer:
    rate = s["learning_rate"]
    if s["name"] == "adam":
        return torch.optim.Adam(
            model.parameters(), rate, (s["b1"], s["b2"]), s["eps"], capturable=graphs
        )
    return torch.optim.RMSprop(
        model.parameters(), rate, alpha=s["decay"], eps=s["eps"], capturable=graphs
    )


class Contest:
    """Two networks, their optimisers and resident images."""

    def __init__(self, settings: Settings, options: argparse.Namespace) -> None:
        self.settings, self.batch_size = settings, options.batch_size
        self.device = torch.device(options.device)
        self.dtype = DTYPES[options.precision]
        size, channels = settings["image_size"], options.channels
        place = {"device": self.device, "memory_format": torch.channels_last}
        self.critic = critic(settings["critic"], size, channels).to(**place)
        self.generator = generator(settings, channels, options.phases).to(**place)
        self.critic_optimizer = optimizer(settings["critic_optimizer"], self.critic, options.graph)
        self.generator_optimizer = optimizer(
            settings["generator_optimizer"], self.generator, options.graph
        )
        self.scores: Callable[[Tensor], Tensor] = self.critic
        self.fakes: Callable[[Tensor], Tensor] = self.generator
        if options.compile:
            self.scores, self.fakes = torch.compile(self.critic), torch.compile(self.generator)
        shape = (2 * options.batch_size, channels, size, size)
        images = torch.randint(0, 256, shape, dtype=torch.uint8)
        self.images = images.to(**place)
        self.recent = torch.zeros(100, device=self.device)

    def latents(self) -> Tensor:
        return torch.randn(self.batch_size, self.settings["latent_dim"], device=self.device)

    def critic_step(self) -> tuple[Tensor, Tensor]:
        place = torch.randint(0, len(self.images), (self.batch_size,), device=self.device)
        real = self.images[place].float() / 127.5 - 1
        real = real.contiguous(memory_format=torch.channels_last)
        self.critic_optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            with torch.no_grad():
                fake = self.fakes(self.latents()).float()
            on_real, on_fake = -self.scores(real).float().mean(), self.scores(fake).float().mean()
            loss = on_real + on_fake
            if self.settings["objective"] == "wgan_gp":
                loss = loss + self.settings["gradient_penalty"] * self.penalty(real, fake)
        loss.backward()
        self.critic_optimizer.step()
        if self.settings["objective"] == "wgan":
            with torch.no_grad():
                weights = list(self.critic.parameters())
                torch._foreach_clamp_min_(weights, -self.settings["clip"])
                torch._foreach_clamp_max_(weights, self.settings["clip"])
        return on_real.detach(), on_fake.detach()

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        mix = torch.rand(len(real), 1, 1, 1, device=self.device)
        between = (fake + mix * (real - fake)).requires_grad_()
        (slopes,) = torch.autograd.grad(self.scores(between).sum(), between, create_graph=True)
        return ((slopes.float().flatten(1).norm(dim=1) - 1) ** 2).mean()

    def generator_step(self) -> Tensor:
        self.generator_optimizer.zero_grad(set_to_none=True)
        self.critic.requires_grad_(False)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            loss = -self.scores(self.fakes(self.latents())).float().mean()
        loss.backward()
        self.critic.requires_grad_(True)
        self.generator_optimizer.step()
        return loss.detach()

    def round(self) -> Tensor:
        for _ in range(self.settings["n_critic"]):
            on_real, on_fake = self.critic_step()
        on_fakes = self.generator_step()
        with torch.no_grad():
            self.recent = torch.cat([self.recent[1:], (0.5 * (on_real + on_fake))[None]])
            found = [on_real, on_fake, on_fakes, self.recent.var()]
            for model in (self.critic, self.generator):
                weights = torch.cat([p.flatten() for p in model.parameters()])
                slopes = torch.cat([p.grad.flatten() for p in model.parameters()])
                edge = (weights.abs() >= self.settings["clip"]).float().mean()
                found += [weights.mean(), weights.std(), edge, slopes.norm()]
            return torch.stack(found)


def player(contest: Contest, graph: bool) -> Callable[[int], None]:
    """Plays n rounds, and waits for the metrics of each."""
    if not graph:

        def play(n: int) -> None:
            for _ in range(n):
                contest.round().tolist()

        return play
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(3):
            contest.round()
    torch.cuda.synchronize()
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        found = contest.round()

    def replay(n: int) -> None:
        for _ in range(n):
            recorded.replay()
            found.tolist()

    return replay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings, JSON")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--phases", action="store_true", help="fold upsampling into the kernel")
    parser.add_argument("--compile", action="store_true", help="both networks by torch.compile")
    parser.add_argument("--graph", action="store_true", help="a round as one CUDA graph")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=tuple(DTYPES), default="float32")
    options = parser.parse_args()
    fast = options.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cudnn.benchmark = True
    contest = Contest(json.loads(options.settings.read_text()), options)
    models = {"critic": contest.critic, "generator": contest.generator}
    parameters = {k: sum(p.numel() for p in m.parameters()) for k, m in models.items()}
    versions = {"torch": torch.__version__}
    serve(player(contest, options.graph), {"versions": versions, "parameters": parameters})


if __name__ == "__main__":
    main()
