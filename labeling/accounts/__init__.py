"""Who works here: passwords, sign-in sessions, lock-out, roles."""
