"""Images too large to be labeled at once, in overlapping tiles."""
