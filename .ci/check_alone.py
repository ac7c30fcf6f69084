"""A proof in an environment that has the released wheel and what it depends on, and no compiler: for release.yml."""

import sys
from pathlib import Path

import numpy as np

from glscert.verifier import Verdict, load, robustness
from glscert.verifier.engine import compiled

network = load(Path(__file__).parent.parent / "models" / "digits.onnx")
x = np.full((1, *network.graph.input_shape), 0.5, np.float32)
(answer,) = robustness(network, x, network.scores(x).argmax(1), eps=1e-4)
if compiled.found() or not network.engine.compiled or "torch" in sys.modules or answer.verdict is not Verdict.VERIFIED:
    sys.exit(f"compiler: {compiled.found()}; {network.engine.why}; {answer}")
print("verified, by a program that came with the wheel")
