"""Training on one CPU: recipes as data, augmentation of chips, losses, and a loop that resumes."""
