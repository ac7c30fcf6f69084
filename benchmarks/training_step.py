"""What a step of RGS costs, as a multiple of GRAD's: loss and gradient of a mini-batch, regulariser and all.

    python benchmarks/training_step.py --net cnn3 --relaxation deeppoly --threads 1

In turns, the fastest of many; weights as the Shi initialisation leaves them, random images. annealing: while eps grows
and the regulariser counts; after: without it.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor

import torch
from bound_cost import fastest

from glscert.cli.memory import keep_freed_memory
from glscert.trainer.architectures import NETS, SOURCES, build
from glscert.trainer.chunks import images_at_once, images_kept
from glscert.trainer.fused import recognised
from glscert.trainer.initialisation import fast
from glscert.trainer.methods import rgs
from glscert.trainer.minibatch import Minibatch
from glscert.trainer.objective import Objective
from glscert.verifier.bounds import RELAXATIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=tuple(NETS), default="cnn3")
    parser.add_argument("--relaxation", choices=tuple(RELAXATIONS), default="deeppoly")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=6.0)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    source, cpu = SOURCES["mnist"], torch.device("cpu")
    net, generator = build(args.net, source), torch.Generator().manual_seed(0)
    params = fast(net, generator)
    constants = {name: torch.from_numpy(value) for name, value in net.constants.items()}
    network = recognised(net.graph, net.parameters, net.constants)
    objective = Objective(net.graph, constants, args.relaxation, source.classes, network=network)
    kept = images_kept(objective, net, cpu)
    chunk = images_at_once(kept, args.batch, cpu)
    x = torch.rand(args.batch, *source.shape, generator=generator)
    y = torch.randint(0, source.classes, (args.batch,), generator=generator)
    result: dict[str, object] = {"net": args.net, "relaxation": args.relaxation, "batch": args.batch, "chunk": chunk}
    with ThreadPoolExecutor(args.threads) as pool:
        for name, weight in (("annealing", 0.5), ("after", 0.0)):
            batch = Minibatch(objective, x, y, 0.1, chunk, pool, weight, weights=net.weights, kept=kept)
            tasks = {
                "grad": lambda batch=batch: batch(params),
                "rgs": lambda batch=batch: rgs.gradient(batch, params, generator, rgs.Options(), 0),
            }
            best = fastest(tasks, args.seconds)
            rates = {f"{method}_images_per_s": round(args.batch / took, 1) for method, took in best.items()}
            result[name] = {**rates, "rgs_over_grad": round(best["rgs"] / best["grad"], 3)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
