"""From a user's pictures to ages: where pictures come from, the models, and what they answer."""
