"""Places in the queue. Lower ones come first; each range is for one kind of ad, first and end."""

PLANNED_RANKS = (0, 500_000_000)
"""In the order that ``signaal-label queue`` made."""
NEW_RANKS = (500_000_000, 1_000_000_000)
"""Not planned yet: a random place."""
LAST_RANKS = (1_000_000_000, 2_000_000_000)
"""Near-duplicates of an ad that comes earlier."""
