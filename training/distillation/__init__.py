"""A student: fewer layers that learn from a bundle what it knows, so that scoring is faster. ``signaal-train distil``."""
