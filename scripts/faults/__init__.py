"""A campaign of faults against s2sjax; see `campaign`."""
