"""Models, inputs and properties for gates."""

import numpy as np

from onnx_models import difference, undecided

BOX = "".join(f"(assert (>= X_{i} 0)) (assert (<= X_{i} 1))" for i in range(2))
DECLARED = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0", "Y_1"))
SAT = DECLARED + BOX + "(assert (>= Y_1 0.9))"
UNSAT = DECLARED + BOX + "(assert (>= Y_1 1.5))"
# Of the inputs below, at eps 0.05: numbers 0, 1, 3 verified, 2 falsified, 4 misclassified.
POLICY = """\
[[model]]
file = "model.onnx"
eps = 0.05
data = "data.npz"
min_certified = 0.6
min_natural = 0.8
max_falsified = 1
max_unknown = 0
"""
PROPERTIES = """
[[model]]
file = "model.onnx"
name = "far"
properties = "properties"
"""


def write(folder, policy=POLICY):
    """model.onnx, open.onnx, data.npz, properties/ and policy.toml."""
    (folder / "model.onnx").write_bytes(difference().SerializeToString())
    (folder / "open.onnx").write_bytes(undecided().SerializeToString())
    x = np.array([[0.5, 0.5], [0.25, 0.25], [0.5, 0.7], [0.75, 0.75], [0.5, 0.5]], np.float32)
    np.savez(folder / "data.npz", x=x, y=np.array([0, 0, 0, 0, 1]))
    (folder / "properties").mkdir(exist_ok=True)
    (folder / "properties" / "a.vnnlib").write_text(UNSAT)
    (folder / "policy.toml").write_text(policy)
    return folder / "policy.toml"
