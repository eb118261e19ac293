"""Training: recipes as data, augmentation, losses, teachers, and a loop that resumes."""
