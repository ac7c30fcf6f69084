"""Changes the structure of small valid ONNX files and holds what still loads to onnxruntime.

    mutate.py FIRST COUNT FOLDER

Prints a line of JSON for each file: how it ended, and what was wrong with that, if anything. A number whose line
does not follow ended the process: by a crash, or for its time or memory.
"""

import json
import resource
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
from changes import mutated
from scipy import special

from glscert.verifier import Network, load
from glscert.verifier.errors import GlscertError, InputError, UnsupportedError

SECONDS, MEMORY = 20, 6 * 2**30  # of a file; addresses beyond those taken at first, for onnxruntime's threads too
POINTS, CLOSE = 6, 2e-5  # of the outputs' size: what float32 may differ by


def end(path: Path, rng: np.random.Generator) -> tuple[str, str]:
    """How the file ended, and what is wrong with that."""
    try:
        network = load(path)
        return compared(network, rng)
    except (InputError, UnsupportedError) as error:
        text = str(error)
        sentence = text.endswith(".") or "onnxruntime cannot" in text
        kind = "unlike onnxruntime" if "as onnxruntime does" in text else type(error).__name__
        return kind, "" if len(text) < 2500 and sentence else f"no sentence: {text[:200]}"
    except GlscertError as error:
        return type(error).__name__, str(error)[:200]
    except Exception as error:  # what a user would see as a traceback
        return "traceback", f"{type(error).__name__}: {str(error)[:200]}"


def compared(network: Network, rng: np.random.Generator) -> tuple[str, str]:
    """At points in [-1, 1], in float32 and in float64: onnxruntime lies between these two, or close by."""
    graph = network.graph
    x = rng.uniform(-1, 1, (POINTS, *graph.input_shape)).astype(np.float32)
    given = np.concatenate([network.runtime.logits(point[None]) for point in x]).astype(np.float64)
    engines, rows = (network.engine, network.engine.single), x.reshape(POINTS, -1)
    found, single = (ended(graph.ending, engine.evaluate(rows)) for engine in engines)
    if given.shape != found.shape or given.shape[1] != graph.answers:
        return "loaded", f"onnxruntime gives {given.shape}, the graph {found.shape} for {graph.answers} answers"
    size = np.nan_to_num(np.abs(found).max(initial=1.0), posinf=np.inf)
    room = CLOSE * size + 4 * np.nan_to_num(np.abs(found - single), nan=np.inf)
    with np.errstate(invalid="ignore"):
        off = np.abs(given - found)
    if graph.ending == "ArgMax" or (np.isfinite(given).all() and np.isfinite(single).all()):
        return ("loaded", "") if (off <= room).all() else ("loaded", f"differs by {off.max():g} of {size:g}")
    return "loaded, not finite", ""


def ended(ending: str | None, logits: np.ndarray) -> np.ndarray:
    """What the file makes of its logits."""
    if ending == "ArgMax":
        return logits.argmax(1)[:, None].astype(np.float64)
    if ending is not None:
        logits = (special.log_softmax if ending == "LogSoftmax" else special.softmax)(logits, axis=1)
    return logits.astype(np.float64)


def main(first: int, count: int, folder: Path) -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    warnings.simplefilter("ignore")
    for seed in range(first, first + count):
        signal.alarm(SECONDS)  # ends the process
        mutation = mutated(seed)
        path = folder / "mutated.onnx"
        path.write_bytes(mutation.model.SerializeToString())
        found, wrong = end(path, mutation.rng)
        print(json.dumps({"seed": seed, "end": found, "wrong": wrong, "changes": mutation.done}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
