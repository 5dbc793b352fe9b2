"""The ten stages, a module each. A stage imports libraries, never another stage."""
