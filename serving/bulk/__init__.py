"""Scores whole files as a stream: constant memory, resumable, no line lost."""
