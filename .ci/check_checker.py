"""The checker of `glscli check` runs where only numpy and onnx are installed, and accepts a shipped certificate.

In a virtual environment of its own, from the source tree, on inputs that this one wrote to a file.
"""

import subprocess
import sys
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path

import numpy as np

from glscert.verifier.data import load_dataset

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("numpy", "onnx")
CHECK = """
import sys
import numpy as np
from glscert.verifier.check.checker import check
from glscert.verifier.check.header import labelled_questions

model, certificate, data = sys.argv[1:]
known = np.load(data)
x, y = known["x"], known["y"].tolist()

def questions(checker, found):
    return labelled_questions(found.questions, checker.network, x, y, [key for key, _ in found.answers])

report = check(open(model, "rb").read(), open(certificate, "rb").read(), questions)
assert report.accepted and report.counts["proved"] > 300, report.counts
assert not {"onnxruntime", "scipy", "torch"} & set(sys.modules)
print(f"{report.counts['proved']} of {len(report.outcomes)} proved, by numpy and onnx alone")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        venv.create(folder / "alone", with_pip=True)
        python = str(folder / "alone" / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        wanted = [f"{name}=={version(name)}" for name in NEEDED]
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
        data = load_dataset("digits", "test", None)
        np.savez(folder / "digits.npz", x=data.x, y=data.y)
        files = [ROOT / "models" / "digits.onnx", ROOT / "models" / "digits.cert", folder / "digits.npz"]
        (folder / "check.py").write_text(CHECK)
        found = {"PYTHONPATH": str(ROOT / ".types"), "PATH": ""}
        sys.exit(subprocess.run([python, folder / "check.py", *files], env=found, cwd=folder).returncode)


if __name__ == "__main__":
    main()
