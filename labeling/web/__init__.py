"""What reviewers see: pages rendered on the server, and one script for the review page."""
