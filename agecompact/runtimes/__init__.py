"""One file a backend, one interface (`base.Session`); `registry` knows which opens which file."""
