"""Data sets on disk.

A reader lists the files of a data set, the survey reads them and removes duplicates, a protocol
splits the remaining faces, and the cache keeps decoded chips for training.
"""
