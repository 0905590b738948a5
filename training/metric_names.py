"""Names of metrics as MLflow takes them: letters and digits of any script, ``_ . - :`` and spaces, in parts between slashes.

A label set of others has labels like ``/Arts/Music``, ``C++`` or nothing at all. Each becomes one part of a name; what would be
the same part twice gets a number.
"""

import re
from collections.abc import Iterable

LONGEST_PART = 100
"""MLflow takes 250 characters in all."""
_NOT_IN_A_PART = re.compile(r"[^\w. :-]")


def name_parts(names: Iterable[str]) -> dict[str, str]:
    """Each name's part, no two alike; a name that needs no change keeps its own, whatever the others are.

    Of names that become alike, the second in alphabetical order ends with ``_2``, so that runs on the same labels agree.
    """
    cleaned = {name: _cleaned(name) for name in sorted(set(names))}
    parts = {name: part for name, part in cleaned.items() if name == part}
    taken = set(parts)
    for name, part in cleaned.items():
        if name in parts:
            continue
        number, free = 1, part
        while free in taken:
            number += 1
            free = f"{part}_{number}"
        parts[name] = free
        taken.add(free)
    return parts


def _cleaned(name: str) -> str:
    part = _NOT_IN_A_PART.sub("_", name).strip()[:LONGEST_PART].rstrip()
    return part if part.strip(".") else f"_{part}"  # nothing, "." and ".." would be another path
