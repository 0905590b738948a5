"""Where scores go: the HTTP API, its playground page, and bulk scoring of files."""
