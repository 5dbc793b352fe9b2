"""What it takes to tell two units, two commits or two workspaces apart."""
