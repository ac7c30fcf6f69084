"""Records of runs as someone may write them by hand: changed, and sealed again."""

import json

from glscert.verifier.answer.record import checksum

VERDICTS = ("verified", "falsified", "misclassified", "unknown")


def counted(record):
    """The record of labelled inputs with a summary that counts its images."""
    counts = {verdict: sum(image["verdict"] == verdict for image in record["images"]) for verdict in VERDICTS}
    total = sum(counts.values())
    correct = total - counts["misclassified"]
    summary = record["summary"] | counts | {"images": total}
    summary |= {
        "natural_accuracy": correct / total,
        "adversarial_accuracy": (correct - counts["falsified"]) / total,
        "certified_accuracy": counts["verified"] / total,
    }
    return record | {"summary": summary}


def write(path, record):
    """Sealed by a checksum that fits."""
    path.write_text(json.dumps(record | {"checksum": checksum(record)}))
