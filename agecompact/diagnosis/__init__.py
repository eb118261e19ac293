"""What this machine has of all that the verbs need: `agecompact doctor`.

Nothing here imports a package that it judges, nor one of ours that needs such a package, so that a
broken installation can be diagnosed. Packages are looked up, and imported in another process.
"""
