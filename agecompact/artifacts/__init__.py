"""What a build folder holds: manifest, metadata inside each artefact, golden pack."""
