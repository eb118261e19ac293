"""The content of a build folder: manifest, metadata inside each artefact, golden pack."""
