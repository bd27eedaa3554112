"""`flexpose sweep`: Ray Tune over adaptation (adapt_trial, adaptations) or pretraining (train_trial, trainings)."""
