"""`agecompact optimise`: the ways to export a network, measured, and the best one of them.

`candidates` lists the ways: precisions, int8 that is partly float32, files without a pass.
`judging` measures their errors on faces, `counting` their instructions, `records` is what was
measured on disk, `run` measures what is not there yet, `front` compares and chooses, and `table`
and `plot` show it.
"""
