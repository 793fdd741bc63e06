"""Files of pairs of texts: which there are, their formats, the split of each pair."""
