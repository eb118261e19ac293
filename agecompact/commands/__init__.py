"""The verbs of the `agecompact` stop, one file each; `common` holds what all verbs share."""
