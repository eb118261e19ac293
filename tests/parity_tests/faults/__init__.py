"""Faults planted in good artefacts: in what they tell an app (`in_*`), and in what they compute."""
