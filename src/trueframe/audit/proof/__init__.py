"""The rooms behind `audit --verify`: what is claimed of each file, by whom, and what its bytes say."""
