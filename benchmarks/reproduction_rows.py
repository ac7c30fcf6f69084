"""What benchmarks/reproduction.py can make: rows of the paper's tables and our own, by groups."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SCHEDULE = Path(__file__).with_name("reproduction.toml")
PAPER, DEFAULT = "paper", "default"  # schedules; any other is short, a kind of its own
SECOND = "--epochs 15 --lr 0.005"
RELAXATIONS = {"ibp": "IBP", "hbox": "HBox", "crown-ibp": "CROWN-IBP", "deeppoly": "DeepPoly", "alpha-crown": "α-CROWN"}


class Row(NamedTuple):
    """One training, of each seed, by `glscli train` with these options."""

    name: str
    label: str
    net: str
    options: str = ""  # of `glscli train`, but for data set, net, eps, schedule, start and seed
    eps: str = "0.1"
    schedule: str = PAPER  # or "default" (of the command), or in words what is short about it
    paper: tuple[float, float] | None = None  # natural and certified accuracy [%]
    start: "Row | None" = None  # whose run of the same seed gives the weights to start from
    kind: str | None = None  # what the figure of the seeds calls it, if it is there
    timeout: int = 20  # seconds for an image
    dataset: str = "mnist"
    pinned: bool = True  # by reproduction.toml; False: by the defaults of command and method

    @property
    def command(self) -> list[str]:
        """Of `glscli`; start, seed and run are missing."""
        schedule = ["--config", str(SCHEDULE)] if self.pinned else []
        what = ["--dataset", self.dataset, "--net", self.net, "--eps", self.eps]
        return ["train", *schedule, *what, *self.options.split()]

    @property
    def short(self) -> bool:
        """Whether less is trained than the paper does, or the command by default."""
        return self.start.short if self.start else self.schedule not in (PAPER, DEFAULT)

    @property
    def key(self) -> str:
        """The name and a digest of all that decides the weights: with other options it is another row."""
        parts = [self.dataset, self.net, self.eps, *self.options.split(), self.start.key if self.start else ""]
        parts += [SCHEDULE.read_text(encoding="utf-8")] if self.pinned else []
        parts += [_defaults(self)] if self.schedule == DEFAULT else []
        return f"{self.name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:6]}"


def _defaults(row: Row) -> str:
    """What `glscli train` makes of a row without options: with other defaults it is another row."""
    from glscert.trainer import resolve

    return resolve({"dataset": row.dataset, "net": row.net, "eps": float(row.eps)}).model_dump_json()


def row(net: str, method: str, relaxation: str | None, options: str = "", **more: Any) -> Row:
    """From fresh weights, its name and label made from what it is."""
    what = f"--method {method}" + (f" --relaxation {relaxation}" if relaxation else "")
    eps, short = more.get("eps", "0.1"), more.get("schedule", PAPER) != PAPER
    parts = [net, method, relaxation, "" if eps == "0.1" else eps, "short" if short else ""]
    label = f"{RELAXATIONS[relaxation]}, {method.upper()}" if relaxation else method.upper()
    more = {"name": "-".join(part for part in parts if part), "label": label} | more
    return Row(net=net, options=f"{what} {options}".strip(), **more)


def then(start: Row, method: str, relaxation: str, options: str = SECOND, **more: Any) -> Row:
    """From the weights of `start`; at full eps throughout, as is the default of --start."""
    made = row(start.net, method, relaxation, options, eps=start.eps)
    words = ", ".join(_words(options))
    more = {"schedule": f"{start.schedule}, then {words}", "name": f"{start.name}-then-{method}-{relaxation}"} | more
    label = f"{start.label}, then {made.label}"
    return made._replace(label=label, start=start, dataset=start.dataset, **more)


def _words(options: str) -> Iterator[str]:
    words = options.replace("--option ", "--").replace("=", " ").replace("--", "").split()
    for name, value in zip(words[::2], words[1::2], strict=True):
        yield f"{name} {value}" if name != "epochs" else "1 epoch" if value == "1" else f"{value} epochs"


def stages(ibp: Row) -> list[Row]:
    """What may follow IBP: more of it, which is the control, or DeepPoly."""
    return [
        then(ibp, "grad", "ibp", kind="IBP, more IBP"),
        then(ibp, "grad", "deeppoly", kind="IBP, then DeepPoly GRAD"),
        then(ibp, "rgs", "deeppoly", kind="IBP, then DeepPoly RGS"),
    ]


def warm(net: str, method: str) -> Row:
    """IBP while eps grows, DeepPoly after, in the paper's 70 epochs."""
    options, kind = "--warmup-relaxation ibp", f"IBP while eps grows, DeepPoly {method.upper()}"
    label = f"DeepPoly, {method.upper()}; IBP while eps grows"
    return row(net, method, "deeppoly", options, name=f"{net}-{method}-deeppoly-warm", label=label, kind=kind)


def revived(net: str, relaxation: str) -> Row:
    """The paper's 70 epochs, in which channels that do nothing are revived."""
    kind = f"{RELAXATIONS[relaxation]} GRAD, revived"
    made = row(net, "grad", relaxation, "--revive 0.5", name=f"{net}-grad-{relaxation}-revived", kind=kind)
    return made._replace(label=f"{made.label}; channels revived")


def default(net: str, eps: str) -> Row:
    return Row(f"{net}-default-{eps}", "default", net, "", eps, DEFAULT, kind="default", pinned=False)


TINY_IBP = row("cnn3-tiny", "grad", "ibp", paper=(89.76, 82.46), kind="IBP GRAD")
TINY_PGD = row("cnn3-tiny", "pgd", None, timeout=1)
CNN3_IBP = row("cnn3", "grad", "ibp", paper=(96.02, 91.23), kind="IBP GRAD")
TINY_IBP_3 = row("cnn3-tiny", "grad", "ibp", eps="0.3", kind="IBP GRAD")
CNN3_IBP_3 = row("cnn3", "grad", "ibp", eps="0.3", paper=(91.02, 77.23), kind="IBP GRAD")
OWN_PGPE: dict[str, Any] = {"pinned": False}  # its own defaults are the paper's: 150 epochs, batch 512
FEW: dict[str, Any] = {"options": "--epochs 5 --lr 0.005", "schedule": "5 epochs, lr 0.005"}
LESS: dict[str, Any] = {"options": "--epochs 20 --lr 0.002", "schedule": "20 epochs, lr 0.002"}
SHORT_PGD = row("cnn3-tiny", "pgd", None, "--option restarts=1 --epochs 12 --lr 0.002", schedule="12 epochs, lr 0.002")
SHORT_PGD = SHORT_PGD._replace(timeout=1)
CNN5_IBP = row("cnn5", "grad", "ibp", **LESS, paper=(97.94, 95.82))
CNN5_IBP_3 = row("cnn5", "grad", "ibp", **LESS, eps="0.3", paper=(94.95, 87.71))
CNN5_THEN: dict[str, Any] = {"options": "--epochs 5 --lr 0.001"}

GROUPS: dict[str, list[Row]] = {
    "cnn3-tiny": [
        TINY_IBP,
        row("cnn3-tiny", "grad", "deeppoly", paper=(89.24, 68.47), kind="DeepPoly GRAD"),
        row("cnn3-tiny", "rgs", "deeppoly", paper=(91.33, 82.66), kind="DeepPoly RGS"),
    ],
    "pgpe": [
        TINY_PGD,
        then(TINY_PGD, "pgpe", "deeppoly", "", **OWN_PGPE, schedule=PAPER, paper=(91.94, 85.00)),
        then(TINY_PGD, "pgpe", "alpha-crown", "", **OWN_PGPE, schedule=PAPER, paper=(92.15, 85.15)),
    ],
    "cnn3": [
        CNN3_IBP,
        row("cnn3", "grad", "hbox", paper=(94.79, 88.18)),
        row("cnn3", "grad", "crown-ibp", paper=(94.33, 88.76)),
        row("cnn3", "grad", "deeppoly", paper=(95.95, 90.04), kind="DeepPoly GRAD"),
        row("cnn3", "rgs", "ibp"),
        row("cnn3", "rgs", "hbox"),
        row("cnn3", "rgs", "crown-ibp"),
        row("cnn3", "rgs", "deeppoly", paper=(97.37, 91.88), kind="DeepPoly RGS"),
    ],
    "attacks": [
        row("cnn3", "sabr", None),
        row("cnn3", "staps", None),
        row("cnn3", "mtl-ibp", None),
        row("cnn3", "pgd", None, timeout=1),
    ],
    "cnn5": [
        CNN5_IBP,
        then(CNN5_IBP, "rgs", "deeppoly", **CNN5_THEN),
        CNN5_IBP_3,
        then(CNN5_IBP_3, "rgs", "deeppoly", **CNN5_THEN, paper=(95.47, 88.69)),
    ],
    "stages": [
        *stages(TINY_IBP),
        *(warm(net, method) for net in ("cnn3-tiny", "cnn3") for method in ("grad", "rgs")),
        *stages(CNN3_IBP),
        TINY_IBP_3,
        *stages(TINY_IBP_3),
        CNN3_IBP_3,
        *stages(CNN3_IBP_3),
    ],
    "revived": [revived(net, relaxation) for net in ("cnn3-tiny", "cnn3") for relaxation in ("ibp", "deeppoly")],
    "default": [default(net, eps) for eps in ("0.1", "0.3") for net in ("cnn3-tiny", "cnn3", "cnn5")],
    "short": [
        row("cnn3", "grad", "ibp", **FEW, paper=(96.02, 91.23)),
        row("cnn3", "grad", "hbox", **FEW, paper=(94.79, 88.18)),
        row("cnn3", "grad", "crown-ibp", **FEW, paper=(94.33, 88.76)),
        row("cnn3", "grad", "deeppoly", **FEW, paper=(95.95, 90.04)),
        then(SHORT_PGD, "pgpe", "deeppoly", "--epochs 6 --lr 0.001", pinned=False, paper=(91.94, 85.00)),
        then(
            SHORT_PGD,
            "pgpe",
            "alpha-crown",
            "--option population=64 --epochs 1 --lr 0.002",
            pinned=False,
            paper=(92.15, 85.15),
        ),
    ],
}
_IBP = row("digits", "grad", "ibp", "--epochs 1", dataset="digits", schedule="1 epoch", kind="IBP GRAD")
HIDDEN: dict[str, list[Row]] = {  # a minute's work, to try the machinery
    "digits": [_IBP, then(_IBP, "rgs", "deeppoly", "--epochs 1 --lr 0.01", kind="IBP, then DeepPoly RGS")],
    "broken": [row("digits", "grad", "ibp", "--epochs 0", dataset="digits", name="broken")],
}


def rows_of(groups: dict[str, list[Row]]) -> dict[str, Row]:
    """All rows by their keys."""
    return {each.key: each for group in groups.values() for each in group}
