"""By how much onnxruntime's smooth functions are off in float32, in roundings u = 2^-24 of 1 + |f|.

    python benchmarks/curve_errors.py --points 12000000

`verifier/engine/errors.py` allows for 32 of them, of 1 + |f| and of the input by how steep f is there; this is what
that rests on. Arguments of all sizes from 2^-30 to 90, against float64.
"""

import argparse
from collections.abc import Callable

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from scipy import special

Array = np.ndarray
_SELU_SCALE, _SELU_ALPHA = 1.05070102214813232421875, 1.67326319217681884765625  # the standard's

CURVES: dict[str, Callable[[Array], Array]] = {
    "Celu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "Elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "Erf": special.erf,
    "Gelu": lambda z: z * (1 + special.erf(z / np.sqrt(2))) / 2,
    "HardSwish": lambda z: z * np.clip(z / 6 + 0.5, 0, 1),
    "Mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "Selu": lambda z: _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * np.expm1(np.minimum(z, 0))),
    "Sigmoid": special.expit,
    "Softplus": lambda z: np.logaddexp(0, z),
    "Softsign": lambda z: z / (1 + abs(z)),
    "Tanh": np.tanh,
}


def session(op: str) -> onnxruntime.InferenceSession:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], op, ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def worst(op: str, points: int, rng: np.random.Generator) -> tuple[float, float]:
    """The largest error in roundings of 1 + |f|, and where it is."""
    runtime, most, at = session(op), 0.0, 0.0
    for _ in range(0, points, 10**6):
        x = (rng.choice([-1, 1], 10**6) * 2.0 ** rng.uniform(-30, 6.5, 10**6)).astype(np.float32)
        exact = CURVES[op](x.astype(np.float64))
        found = abs(runtime.run(None, {"x": x})[0] - exact) / (1 + abs(exact)) * 2**24
        place = int(np.argmax(found))
        if found[place] > most:
            most, at = float(found[place]), float(x[place])
    return most, at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=12_000_000, help="of each function")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print("| operator | roundings of 1 + abs(f) | at |\n|---|--:|--:|")
    for op in CURVES:
        most, at = worst(op, args.points, rng)
        print(f"| {op} | {most:.2f} | {at:.6g} |")


if __name__ == "__main__":
    main()
