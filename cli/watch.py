"""Training's progress on stderr: a bar on a terminal, else one plain line per epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import render

if TYPE_CHECKING:
    from glscert.trainer import Report, TrainConfig


MOST_NAMED = 8  # channels of a layer


@contextmanager
def watch_training(config: "TrainConfig", label: str = "training", done: int = 0) -> Iterator["Report"]:
    """The callback to hand to `glscert.trainer.train` or `resume`; `done` epochs lie behind."""
    from glscert.trainer import EpochReport, StepReport

    console, named = render.logs(), ""

    def warn(news: EpochReport) -> None:
        nonlocal named
        idle = _idle_channels(news.metrics)
        if idle and idle != named:  # once, where the run's end has what the warm-up's had
            console.print(idle, markup=False)
        named = idle or named

    latest: StepReport | None = None

    def line(news: StepReport | EpochReport) -> None:
        nonlocal latest
        if isinstance(news, StepReport):
            latest = news
            return
        candidate = news.metrics.get("candidate")
        named = "" if candidate is None else f"  candidate {candidate}/{config.restarts}"
        text = f"epoch {news.epoch}/{news.epochs}{named}  loss {news.metrics['train_loss']:.4f}"
        text += f"  {_accuracies(news.metrics)}"
        if latest is not None:
            text += f"  {latest.images_per_s:.0f} images/s, {_duration(latest.seconds_left)} left"
        console.print(text, markup=False)
        warn(news)

    if not console.is_terminal:
        yield line
        return

    with render.progress(label, config.total_epochs) as step:
        step(done)
        accuracies = ""

        def bar(news: StepReport | EpochReport) -> None:
            nonlocal accuracies
            if isinstance(news, EpochReport):
                warn(news)
                accuracies = f"nat {100 * news.metrics['natural']:.1f} cert {100 * news.metrics['certified']:.1f}"
                return
            remark = f"{news.images_per_s:.0f} images/s loss {news.loss:.3f} {accuracies}"  # 80 columns are few
            step(news.epochs / news.steps, remark)

        yield bar


def _idle_channels(metrics: dict[str, Any]) -> str:
    """A line that names the layers whose channels are dead or always active; empty where there are none."""
    from glscert.trainer.channels import IMAGES, from_record

    def listed(numbers: list[int]) -> str:
        return ", ".join(map(str, numbers[:MOST_NAMED])) + (", …" if len(numbers) > MOST_NAMED else "")

    layers = []
    for layer in from_record(metrics):
        if layer.idle:
            parts = (("dead", layer.dead), ("always active", layer.active))
            kinds = " and ".join(f"{len(n)} {kind} (channel {listed(n)})" for kind, n in parts if n)
            layers.append(f"of {layer.name}'s {layer.channels}, {kinds}")
    if not layers:
        return ""
    return (
        f"warning: channels do no work on up to {IMAGES} training images: {'; '.join(layers)}. "
        "A better network may come of --revive 0.5, more --restarts or another --seed."
    )


def _accuracies(metrics: dict[str, float]) -> str:
    return f"natural {100 * metrics['natural']:.2f} %  certified {100 * metrics['certified']:.2f} %"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
