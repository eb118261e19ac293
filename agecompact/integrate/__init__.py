"""Small, complete projects that run an artefact: one for each platform, with a golden test."""
