"""What reviewers found, taken in over HTTP and kept on disk until labelling takes it."""
