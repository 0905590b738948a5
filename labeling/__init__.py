"""Where examples come from: the authored corpus and, later, reviewers' labels."""
