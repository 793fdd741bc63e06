"""What the commands do, as functions: the command line parses, calls and prints."""
