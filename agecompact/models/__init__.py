"""One file a model; `registry` names them all."""
