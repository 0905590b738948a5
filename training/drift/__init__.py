"""Whether the ads of today still look like those of before: two scored samples, compared."""
