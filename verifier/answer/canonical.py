"""Objects as the same bytes every time."""

import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Strict JSON, keys sorted, no spaces."""
    return json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
