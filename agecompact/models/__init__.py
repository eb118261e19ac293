"""The networks, one file each, and `registry`, which finds them and those of other packages."""
