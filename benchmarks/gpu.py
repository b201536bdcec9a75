"""Training on a GPU against the CPU of the same machine, how near to the device's limit, and side by side.

    python benchmarks/gpu.py [--device auto] [--quick] [--seconds 3] [--out gpu.json]

Needs no corpus: features of the real shapes are drawn. Four parts:

- *Limit*: the rate of large matrix products of the same device, in float32, bfloat16 and float64.
- *Networks*: those of the shipped recipes, trained by the code that `emofuse evaluate` calls, on one core of
  the CPU and on the GPU in float32 and bfloat16. Clips per second of training; the share of the limit that
  the products and convolutions of these clips come to; the share of time in which the GPU did anything, as
  nvidia-smi tells it.
- *Side by side*: one small network in 1, 4 and 16 processes at once, as folds, trials and seeds are trained.
- *Data-parallel*: the same network with each batch split among processes that add up their gradients after
  every step (gloo, on the CPU); and, on the device, the time of a step with a k-th of the batch: k devices
  whose exchange of gradients cost nothing would not be faster than that.

Without a GPU, the CPU is measured alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.distributed
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from emofuse.core.recipes.load import load_recipe
from emofuse.system.cores import usable_cores
from emofuse.training.attention import train_attention
from emofuse.training.compute import CPU, Compute, computing
from emofuse.training.ensemble import train_ensemble
from emofuse.training.loop import Examples, augmentation_for, train_network
from emofuse.training.networks.attention_pooling import AttentionNetworks, PartsView
from emofuse.training.networks.blendshape_lstm import BlendshapeNetwork
from emofuse.training.networks.descriptor_ensemble import Layout
from emofuse.training.networks.voice import AlexNet, CompactVoiceNetwork
from emofuse.training.torch_settings import autocast, reproducible

SMALL: Final = "voice of default"
"""The network that is trained side by side."""
PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
DESCRIPTORS: Final = Layout(((0, 1108), (1108, 1765), (1765, 2360), (2360, 2820), (2820, 5820)))
"""The views of the voice that ravdess-ensemble reads."""
PARTS: Final = PartsView(slice(0, 18432), 12)
"""What ravdess-whisper's attention reads: twelve parts of what three blocks of the encoder give."""
N_SPEAKERS: Final = 20
_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Work:
    """A training whose speed is measured: ``train(n_clips, epochs)``."""

    train: Callable[[int, int], None]
    clips: int
    """As many as five folds of RAVDESS leave for training, or fewer where a CPU would take minutes."""
    batch: int
    network: Callable[[], nn.Module] | None = None
    """Untrained, to count its products; None: it has none worth counting."""
    inputs: Callable[[int], Tensor] | None = None
    epochs: int | None = None
    """Where a fit has parts that are not repeated: all of its epochs, which count as one."""


def labels_of(n: int) -> NDArray[np.int64]:
    return np.arange(n, dtype=np.int64) % 8


@lru_cache(maxsize=4)
def values(*shape: int) -> NDArray[np.float32]:
    """Normal values with a trace of the label; drawn once, so that drawing is not timed."""
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal(shape, dtype=np.float32)
    return drawn + 0.3 * rng.standard_normal((8, *shape[1:]), dtype=np.float32)[labels_of(shape[0])]


@lru_cache(maxsize=4)
def pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _in_epochs(
    network: Callable[[], nn.Module], inputs: Callable[[int], NDArray[Any]], part: Any, clips: int
) -> Work:
    def train(n: int, epochs: int) -> None:
        settings = part.training.model_copy(update={"epochs": epochs, "patience": None})
        examples = Examples(inputs(n), labels_of(n))
        augment = augmentation_for(part.features, settings)
        train_network(network, examples, settings, n_emotions=8, seed=1, augment=augment)

    return Work(train, clips, part.training.batch_size, network, lambda n: torch.from_numpy(inputs(n)))


def works() -> dict[str, Work]:
    """The networks by what they are called in the tables."""
    default, rosred = load_recipe("default"), load_recipe("rosred-2022")
    convolutional = default.voice.network.model_copy(update={"channels": [16, 32, 64]})
    shapes, ensemble = load_recipe("ravdess-blendshapes").face, load_recipe("ravdess-ensemble").voice
    attention = load_recipe("ravdess-whisper").voice.network.attention
    assert attention is not None
    one = attention.model_copy(update={"networks": 1})

    def attend(n: int, epochs: int) -> None:
        settings = one.model_copy(update={"training": one.training.model_copy(update={"epochs": epochs})})
        train_attention([values(n, 18432)], labels_of(n), PARTS, settings, n_emotions=8, seed=1)

    def fit(n: int, _: int) -> None:
        speakers = np.array([f"{i * N_SPEAKERS // n:02d}" for i in range(n)])
        train_ensemble(
            [values(n, 5820)] * 3, labels_of(n), speakers, DESCRIPTORS, ensemble.network.ensemble,
            ensemble.training, n_emotions=8, seed=1,
        )  # fmt: skip

    def log_mel(n: int) -> NDArray[np.float32]:
        return values(n, 66, 188) * 2 - 6

    return {
        SMALL: _in_epochs(
            lambda: CompactVoiceNetwork(66, 8, default.voice.network, pitch=True), log_mel, default.voice, 960
        ),
        "the same with convolutions": _in_epochs(
            lambda: CompactVoiceNetwork(66, 8, convolutional, pitch=True), log_mel, default.voice, 320
        ),
        "AlexNet of rosred-2022": _in_epochs(
            lambda: AlexNet(8, rosred.voice.network.n_features, rosred.voice.network.dropout),
            lambda n: pixels(n, 224, 224, 3), rosred.voice, 64,
        ),
        "LSTM of ravdess-blendshapes": _in_epochs(
            lambda: BlendshapeNetwork(58, 8, shapes.network, noise=0.3),
            lambda n: np.abs(values(n, 20, 58)), shapes, 960,
        ),
        "attention of ravdess-whisper": Work(
            attend, 960, one.training.batch_size, lambda: AttentionNetworks(PARTS, 8, one),
            lambda n: torch.from_numpy(values(n, 18432)),
        ),
        "ensemble of ravdess-ensemble": Work(fit, 960, 64, epochs=ensemble.training.epochs),
    }  # fmt: skip


def elapsed(do: Callable[[], object]) -> float:
    """Seconds, all that the GPU has to do included."""
    start = time.perf_counter()
    do()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def repeated(step: Callable[[], None], n: int) -> None:
    for _ in range(n):
        step()


def in_processes(function: Callable[..., None], n: int, *arguments: Any) -> None:
    """Run a function in ``n`` processes, each with its number, and wait for them."""
    started = [_SPAWN.Process(target=function, args=(rank, *arguments)) for rank in range(n)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise RuntimeError(f"a process ended with {[process.exitcode for process in started]}")


def matrix_rate(compute: Compute, dtype: torch.dtype, side: int, seconds: float) -> float:
    """Products and sums of n × n matrices per second."""
    with computing(compute), reproducible() as device:
        left, right = (torch.randn(side, side).to(device, dtype) for _ in range(2))
        product = torch.empty_like(left)

        def multiply() -> None:
            torch.matmul(left, right, out=product)

        repeated(multiply, 2)
        repeats = max(3, int(seconds / max(elapsed(multiply), 1e-6) / 3))
        return 2 * side**3 * repeats / elapsed(partial(repeated, multiply, repeats))


@dataclass
class Utilisation:
    """The share of the time in which the card did anything, as nvidia-smi tells it every 100 ms."""

    samples: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def watch(self, wanted: bool) -> Iterator[None]:
        """Sample while the block runs, where there is something to watch."""
        command = shutil.which("nvidia-smi")
        if not wanted or command is None:
            yield
            return
        query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
        with subprocess.Popen([command, *query], stdout=subprocess.PIPE, encoding="utf-8") as process:
            reader = threading.Thread(target=self._read, args=(process.stdout,))
            reader.start()
            yield
            process.terminate()
            reader.join()

    def _read(self, lines: Any) -> None:
        for line in lines:
            with contextlib.suppress(ValueError):
                self.samples.append(float(line))

    @property
    def mean(self) -> float | None:
        """From 0 to 1, without the first sample, which is of the time before."""
        return float(np.mean(self.samples[1:])) / 100 if len(self.samples) > 1 else None


def flops_per_clip(work: Work) -> float | None:
    """Products and sums of one clip's step, forward and backward, as PyTorch counts them."""
    if work.network is None or work.inputs is None:
        return None
    network, n = work.network().train(), 2
    if any(isinstance(layer, nn.LSTM) for layer in network.modules()):
        return None  # PyTorch does not count what is in it
    counter = FlopCounterMode(display=False)
    with counter:
        outputs = network(work.inputs(n))
        (outputs[1].sum() + 0 * outputs[0].sum()).backward()
    return counter.get_total_flops() / n


def throughput(work: Work, compute: Compute, seconds: float) -> dict[str, float | None]:
    """Clips per second of training, and the GPU's utilisation meanwhile."""
    n, watched = work.clips, Utilisation()
    with computing(compute):
        if work.epochs is not None:
            if compute != CPU:
                work.train(n, work.epochs)
            with watched.watch(compute.device != "cpu"):
                spent = elapsed(lambda: work.train(n, work.epochs or 1))
            return {"clips_per_s": n * work.epochs / spent, "fit_s": spent, "utilisation": watched.mean}
        work.train(n, 1)
        epochs = max(2, int(seconds / elapsed(lambda: work.train(n, 1))))
        epochs = int(epochs * max(1.0, seconds / elapsed(lambda: work.train(n, epochs))))
        with watched.watch(compute.device != "cpu"):
            spent = elapsed(lambda: work.train(n, epochs))
    return {"clips_per_s": n * epochs / spent, "utilisation": watched.mean}


def step_s(work: Work, compute: Compute, batch: int, steps: int) -> float:
    """Seconds of one step, forward, backward and update, with a batch of this size."""
    assert work.network is not None and work.inputs is not None
    with computing(compute), reproducible(1) as device:
        network, x = work.network().to(device).train(), work.inputs(batch).to(device)
        y = torch.from_numpy(labels_of(batch)).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), 1e-3)

        def step() -> None:
            with autocast():
                logits = network(x)[1]
            loss = nn.functional.cross_entropy(logits.float(), y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        repeated(step, 5)
        return elapsed(partial(repeated, step, steps)) / steps


def _train_in_process(rank: int, name: str, compute: Compute, epochs: int, barrier: Any, times: Any) -> None:
    """One of several trainings that start together; writes when it started and ended."""
    work = works()[name]
    with computing(compute):
        work.train(work.clips, 1)
        barrier.wait()
        times[2 * rank] = time.time()
        elapsed(lambda: work.train(work.clips, epochs))
        times[2 * rank + 1] = time.time()


def side_by_side(name: str, compute: Compute, n: int, epochs: int) -> float:
    """Clips per second of ``n`` processes together, each of which trains a network of its own."""
    barrier, times = _SPAWN.Barrier(n), _SPAWN.Array("d", 2 * n)
    in_processes(_train_in_process, n, name, compute, epochs, barrier, times)
    spent: float = max(times[1::2]) - min(times[::2])
    return n * epochs * works()[name].clips / spent


def _split_in_process(rank: int, n: int, name: str, steps: int, file: str, times: Any) -> None:
    """One of several processes that train one network, each on its part of every batch."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=n)
    work = works()[name]
    assert work.network is not None and work.inputs is not None
    torch.manual_seed(1)
    part = max(2, work.batch // n)
    network, x, y = work.network().train(), work.inputs(part), torch.from_numpy(labels_of(part))
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-3)

    def step() -> None:
        loss = nn.functional.cross_entropy(network(x)[1], y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [one.grad for one in parameters if one.grad is not None]
        joined = torch.cat([one.flatten() for one in gradients])  # one exchange, not one per layer
        torch.distributed.all_reduce(joined)
        for one, total in zip(gradients, torch.split(joined, [g.numel() for g in gradients]), strict=True):
            one.copy_(total.view_as(one) / n)
        optimizer.step()

    repeated(step, 5)
    torch.distributed.barrier()
    times[rank] = elapsed(partial(repeated, step, steps))
    torch.distributed.destroy_process_group()


def data_parallel(name: str, n: int, steps: int) -> float:
    """Clips per second of one network whose batches ``n`` processes share, on a core each."""
    work, times = works()[name], _SPAWN.Array("d", n)
    with tempfile.TemporaryDirectory(prefix="emofuse-") as folder:
        file = str(Path(folder, "meeting"))
        in_processes(_split_in_process, n, n, name, steps, file, times)
    longest: float = max(times[:])
    return max(2, work.batch // n) * n * steps / longest


def machine(compute: Compute) -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line for line in lines if "model name" in line]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {**compute.entry(), "cpu": cpu, "cores": usable_cores(), "torch": torch.__version__}


def measure(choice: str, seconds: float, *, quick: bool) -> dict[str, Any]:
    """All figures; printed as they come."""
    gpu = Compute.of(choice)  # type: ignore[arg-type]
    devices = [CPU] if gpu == CPU else [CPU, gpu, Compute(gpu.device, "bfloat16")]
    found: dict[str, Any] = {"machine": machine(gpu), "limit_flops": {}, "networks": {}}
    print(json.dumps(found["machine"]), flush=True)
    for compute in devices[:2]:
        side = 512 if quick else 2048 if compute == CPU else 8192
        for precision, dtype in PRECISIONS.items():
            if compute == CPU and precision == "bfloat16":
                continue  # the default on a CPU is float32
            rate = matrix_rate(compute, dtype, side, seconds)
            found["limit_flops"][f"{compute.device} {precision}"] = rate
            print(f"limit, {compute.device}, {precision}: {rate / 1e12:.3g} TFLOP/s", flush=True)
    for name, work in works().items():
        if quick:
            if name != SMALL:
                continue
            work = Work(work.train, 64, work.batch, work.network, work.inputs, work.epochs)  # noqa: PLW2901
        found["networks"][name] = _of_network(name, work, devices, found["limit_flops"], seconds)
    found.update(_together(gpu, seconds, quick=quick))
    return found


def _of_network(
    name: str, work: Work, devices: Sequence[Compute], limits: dict[str, float], seconds: float
) -> dict[str, Any]:
    flops, entry = flops_per_clip(work), {}
    for compute in devices:
        key = f"{compute.device} {compute.precision}"
        one: dict[str, Any] = throughput(work, compute, seconds)
        if flops is not None:
            one["share_of_limit"] = flops * one["clips_per_s"] / limits[key]
        entry[key] = one
        print(
            f"{name}, {key}: " + ", ".join(f"{k} {v:.3g}" for k, v in one.items() if v is not None),
            flush=True,
        )
    return {"flops_per_clip": flops, "clips": work.clips, "batch": work.batch, **entry}


def _together(gpu: Compute, seconds: float, *, quick: bool) -> dict[str, Any]:
    """Several networks side by side, and one network on several processes or devices."""
    work, cores = works()[SMALL], usable_cores()
    counts = [2] if quick else sorted({1, min(4, cores), min(16, cores)})
    found: dict[str, Any] = {"side_by_side": {}, "data_parallel": {}, "step_s": {}}
    for compute in (CPU,) if gpu == CPU else (CPU, gpu):
        epoch_s = elapsed(partial(_one_epoch, work, compute))
        epochs = 1 if quick else max(2, int(seconds / epoch_s))
        rates = {n: side_by_side(SMALL, compute, n, epochs) for n in counts}
        found["side_by_side"][compute.device] = rates
        print(f"side by side, {compute.device}: clips per s {_rounded(rates)}", flush=True)
        steps = 3 if quick else 100
        times = {k: step_s(work, compute, max(2, work.batch // k), steps) for k in (1, 2, 4, 8)}
        found["step_s"][compute.device] = times
        best = {k: times[1] / s for k, s in times.items()}
        print(f"best case of k devices for one network, {compute.device}: {_rounded(best)} times", flush=True)
    rates = {n: data_parallel(SMALL, n, 3 if quick else 100) for n in counts if n <= work.batch // 2}
    found["data_parallel"]["cpu"] = rates
    print(f"data-parallel, cpu: clips per s {_rounded(rates)}", flush=True)
    return found


def _one_epoch(work: Work, compute: Compute) -> None:
    with computing(compute):
        work.train(work.clips, 1)


def _rounded(figures: dict[int, float]) -> dict[int, float]:
    return {n: float(f"{figure:.3g}") for n, figure in figures.items()}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--seconds", type=float, default=3.0, help="that each figure is measured for")
    parser.add_argument("--quick", action="store_true", help="a few figures, of little worth, in seconds")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that are started
    found = measure(given.device, given.seconds, quick=given.quick)
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
