"""What outsiders read of a workspace, in their own formats. All of it from records and artifacts: no clock, no host."""
