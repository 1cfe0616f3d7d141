"""What results are worth: models and denoisers of others on real, correlated and strange images."""
