"""MLflow's view of trainings."""
