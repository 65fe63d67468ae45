"""Learning what is preferred from answered comparisons: records, fitting, models, reports."""
