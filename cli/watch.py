"""Training's progress on stderr: a bar on a terminal, else one plain line per epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import render

if TYPE_CHECKING:
    from glscert.trainer import EpochReport, Report, StepReport, TrainConfig


@contextmanager
def watch_training(config: "TrainConfig", label: str = "training", done: int = 0) -> Iterator["Report"]:
    """The callback to hand to `glscert.trainer.train` or `resume`; `done` epochs lie behind."""
    console = render.logs()
    latest: StepReport | None = None

    def line(news: "EpochReport") -> None:
        metrics = news.metrics
        rate = "" if latest is None else f"  {latest.images_per_s:.0f} images/s, {_duration(latest.seconds_left)} left"
        text = f"epoch {news.epoch}/{news.epochs}  loss {metrics['train_loss']:.4f}  {_accuracies(metrics)}{rate}"
        console.print(text, markup=False)

    if not console.is_terminal:

        def plain(news: "StepReport | EpochReport") -> None:
            nonlocal latest
            if hasattr(news, "metrics"):
                line(news)
            else:
                latest = news

        yield plain
        return

    with render.progress(label, config.epochs) as step:
        step(done)
        accuracies = ""

        def bar(news: "StepReport | EpochReport") -> None:
            nonlocal accuracies
            if hasattr(news, "metrics"):
                accuracies = "  " + _accuracies(news.metrics)
            else:
                remark = f"epoch {news.epoch}/{news.epochs}  loss {news.loss:.3f}{accuracies}  {news.images_per_s:.0f}/s"
                step(news.epochs / news.steps, remark)

        yield bar


def _accuracies(metrics: dict[str, float]) -> str:
    return f"natural {100 * metrics['natural']:.2f} %  certified {100 * metrics['certified']:.2f} %"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
