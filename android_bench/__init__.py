"""The fourth stop: what an artefact costs. Of the harnesses, the host's is here so far."""
