"""What `s2sjax data` shows: in the terminal, and as a page."""
