"""The command line."""

import time

BEGAN = time.perf_counter()  # of the process, as near as can be told: nothing of ours is loaded before
