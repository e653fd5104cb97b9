"""Speed, measured against bare baselines in the same run."""
