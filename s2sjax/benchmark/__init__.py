"""Decoding strategies measured against one another: quality, speed and memory."""
