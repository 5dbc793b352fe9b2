"""What is wrong with the machine or the workspace, and what to do about it. Nothing is changed."""
