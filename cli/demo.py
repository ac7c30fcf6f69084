"""`glscli demo`: the straight line on data that needs no network, scikit-learn's 8x8 digits."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import render

if TYPE_CHECKING:
    import numpy as np

    from glscert.verifier import Answer

EPS = 0.1
PICTURED = 10
TIMEOUT = 10.0  # seconds of search per image; nearly all are decided without any


def command(
    out: Annotated[Path, typer.Option(help="Folder for the run, model.onnx and verdicts.png.")] = Path("demo"),
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Length of the training.", show_default="the data set's")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides every random choice of the training.")] = 0,
) -> None:
    """Train on handwritten digits by the recipe of `train`, export, verify the test images: about a minute.

    Example: glscli demo
    """
    import time

    from glscert.verifier.data import load_dataset

    from .picture import draw

    logs = render.logs()
    out.mkdir(parents=True, exist_ok=True)
    model = out / "model.onnx"
    images = load_dataset("digits", "test", None)

    logs.print("1/3 training on 1437 images of handwritten digits", markup=False)
    began = time.monotonic()
    run = _train(out, epochs, seed)
    trained = time.monotonic() - began

    logs.print("2/3 exporting, and checking the file in onnxruntime", markup=False)
    from glscert import trainer
    from glscert.export import export_model

    export_model(trainer.model_folder(run), model, "onnx", images.x)

    logs.print(f"3/3 verifying {len(images.x)} test images from {model} alone, eps {EPS}", markup=False)
    began = time.monotonic()
    answers = _verify(model, images.x, images.y)
    verified = time.monotonic() - began

    _show(answers, trained, verified)
    picture = out / "verdicts.png"
    shown = _shown(model, images.x, images.y, answers)
    draw(picture, shown, f"Digits, every pixel free to move by {EPS}")
    render.results().print(f"{model}  {picture}", markup=False)
    logs.print(f"next: glscli verify {model} --eps {EPS}", markup=False)


def _train(out: Path, epochs: int | None, seed: int) -> Path:
    """The folder of a new run under `out`; earlier ones stay."""
    import torch

    from glscert import trainer

    from .watch import watch_training

    given = {"dataset": "digits", "eps": EPS, "seed": seed}
    config = trainer.resolve(given, {} if epochs is None else {"epochs": epochs})
    number = 1
    while (run := out / f"run-{number}").exists():
        number += 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads share the chunks of a batch instead
    try:
        with watch_training(config) as report:
            trainer.train(run, config, workers=threads, report=report)
    finally:
        torch.set_num_threads(threads)
    return run


def _verify(model: Path, x: "np.ndarray", y: "np.ndarray") -> "list[Answer]":
    from glscert.verifier import robustness

    with render.progress("verifying", len(x)) as step:
        return robustness(model, x, y, EPS, timeout=TIMEOUT, report=lambda *_: step(1))


def _show(answers: "list[Answer]", trained: float, verified: float) -> None:
    """Adversarial accuracy counts what the attack did not break, certified accuracy what was proved."""
    counts = Counter(answer.verdict.value for answer in answers)
    total = len(answers)
    natural = total - counts["misclassified"]
    shares = (natural, natural - counts["falsified"], counts["verified"])
    row = (
        "digits, eps 0.1",
        *(f"{100 * share / total:.2f} %" for share in shares),
        counts["unknown"] + counts["timeout"],
    )
    columns = ("test images", "natural", "adversarial", "certified", "unknown", "seconds to train", "seconds to verify")
    title = f"{total} test images"
    render.results().print(render.table(title, columns, [(*row, f"{trained:.0f}", f"{verified:.1f}")]))


def _shown(model: Path, x: "np.ndarray", y: "np.ndarray", answers: "list[Answer]") -> list:
    """A few images of every verdict; what the network answers is asked of the file in onnxruntime."""
    from glscert.verifier import Verdict
    from glscert.verifier.graph import load_model
    from glscert.verifier.graph.read import read_model
    from glscert.verifier.replay import opened

    from .picture import Shown, choose

    file = read_model(model)
    runtime = opened(file, load_model(file).graph)
    verdicts = ["unknown" if each.verdict is Verdict.TIMEOUT else each.verdict.value for each in answers]
    shown = []
    for i in choose(verdicts, PICTURED):
        witness = answers[i].witness
        found = None if witness is None else witness.x
        asked = x[i] if found is None else found
        answer = int(runtime.logits(asked[None])[0].argmax())
        shown.append(Shown(x[i], int(y[i]), verdicts[i], found, answer))
    return shown
