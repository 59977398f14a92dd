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


class Residual(nn.Module):
    """Two convolutions, and beside them a shortcut."""

    def __init__(self, branch: list[nn.Module], shortcut: list[nn.Module]) -> None:
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + self.shortcut(x)


class Pool(nn.Module):
    """[n, c, h, w] -> [n, c]: the mean or the sum over an image."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if self.kind == "mean" else x.sum((2, 3))


def convolution(inputs: int, filters: int, kernel: int, s: Settings, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, filters, kernel, stride, (kernel - 1) // 2, bias=s["bias"])


def critic(s: Settings, size: int, channels: int) -> nn.Module:
    def ready(features: int, first: bool = False) -> list[nn.Module]:
        norm = [nn.GroupNorm(1, features)] if s["normalization"] == "layer" and not first else []
        return [*norm, activation(s)]

    layers: list[nn.Module] = []
    inputs, kernels = channels, s["kernels"] or [s["kernel"]] * len(s["filters"])
    sizes = zip(s["filters"], s["strides"], kernels, strict=True)
    for i, (filters, stride, kernel) in enumerate(sizes):
        if s["blocks"] == "plain":
            layers += [convolution(inputs, filters, kernel, s, stride), *ready(filters, not i)]
        else:
            pool = [nn.AvgPool2d(stride)] if stride > 1 else []
            branch = [convolution(inputs, filters, kernel, s), *ready(filters, not i)]
            branch += [convolution(filters, filters, kernel, s), *pool]
            beside = [convolution(inputs, filters, 1, s)] if pool or inputs != filters else []
            layers.append(Residual((ready(inputs) if i else []) + branch, pool + beside))
        inputs, size = filters, -(-size // stride)
    if s["blocks"] == "residual":
        layers.append(activation(s))
    pooled = s["pooling"] != "none"
    flat = Pool(s["pooling"]) if pooled else nn.Flatten()
    features = inputs if pooled else inputs * size**2
    return nn.Sequential(*layers, flat, nn.Linear(features, 1, bias=s["score_bias"]))


def generator(settings: Settings, channels: int, phases: bool) -> nn.Module:
    s = settings["generator"]
    side = settings["image_size"] >> (len(s["filters"]) + s["double_output"])

    def double(inputs: int, outputs: int, kernel: int, bias: bool) -> nn.Module:
        if s["upsampling"] == "transposed":
            return nn.ConvTranspose2d(inputs, outputs, kernel, 2, (kernel - 2) // 2, bias=bias)
        layer = UpConv(inputs, outputs, kernel, padding=(kernel - 1) // 2, bias=bias)
        layer.phases = phases
        return layer

    def ready(features: int) -> list[nn.Module]:
        batch = nn.BatchNorm2d(features, eps=1e-5, momentum=1 - s["norm_momentum"])
        return ([batch] if s["normalization"] == "batch" else []) + [activation(s)]

    inputs, kernel, last = s["base_filters"], s["kernel"], s["output_kernel"] or s["kernel"]
    layers: list[nn.Module] = [nn.Linear(settings["latent_dim"], side * side * inputs)]
    layers.append(nn.Unflatten(1, (inputs, side, side)))
    for filters in s["filters"]:
        up = [*ready(inputs), double(inputs, filters, kernel, s["bias"])]
        if s["blocks"] == "plain":
            layers += up
        else:
            branch = [*up, *ready(filters), convolution(filters, filters, kernel, s)]
            beside = [convolution(inputs, filters, 1, s), nn.Upsample(scale_factor=2)]
            layers.append(Residual(branch, beside))
        inputs = filters
    layers += ready(inputs)
    if s["double_output"]:
        layers.append(double(inputs, channels, last, True))
    else:
        layers.append(nn.Conv2d(inputs, channels, last, padding=(last - 1) // 2))
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

    def latents(self, batches: int = 1) -> Tensor:
        shape = (batches * self.batch_size, self.settings["latent_dim"])
        return torch.randn(shape, device=self.device)

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
            latents = self.latents(self.settings["generator_batches"])
            loss = -self.scores(self.fakes(latents)).float().mean()
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
