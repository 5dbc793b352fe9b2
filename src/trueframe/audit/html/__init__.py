"""The audit as one page: what it knows, how that is packed, and what shows it."""
