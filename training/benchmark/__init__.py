"""The network on a user's own data and labels, measured as the literature measures: ``signaal-train bench``."""
