"""IndicatorCheck: pairs of short texts that differ in one thing, and what a model makes of the difference."""
