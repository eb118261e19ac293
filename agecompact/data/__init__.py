"""Data sets on disk.

A reader a folder layout lists what is there, the survey reads each file and keeps one a picture, a
protocol parts those, and the cache keeps their chips for training.
"""
