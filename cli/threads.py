"""How the commands use the CPU: threads share the chunks of a batch, which gains more than sharing each operator."""

from glscert.verifier.engine.threads import cores


def share_chunks(threads: int | None, device: str, *, processes: int = 1) -> int:
    """Keeps torch's operators to one thread each; the number of workers to start, `threads` or a share of all cores."""
    import torch

    from glscert.trainer.device import named_device

    torch.set_num_threads(1)
    return (threads or max(1, cores() // processes)) if named_device(device).type == "cpu" else 1
