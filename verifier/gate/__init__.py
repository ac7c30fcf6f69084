"""What must hold of models before they are shipped: a policy, the verdicts it is held to, and the reports of it.

policy      a TOML file -> Policy, strictly
verdicts    what is known of every input or property of one model, whoever found it out
judge       policy + verdicts + baseline -> requirements met, missed or open
baseline    verdicts of an earlier run; which proofs were lost or won since
junit sarif markdown attestation        what other tools read
"""

from .baseline import Baseline as Baseline
from .baseline import Comparison as Comparison
from .judge import MISSED as MISSED
from .judge import judged as judged
from .policy import Entry as Entry
from .policy import LabelledInputs as LabelledInputs
from .policy import Limits as Limits
from .policy import Policy as Policy
from .policy import read_policy as read_policy
from .report import ModelReport as ModelReport
from .report import Report as Report
from .verdicts import Verdicts as Verdicts
from .verdicts import of_inputs as of_inputs
from .verdicts import of_properties as of_properties
