"""From a picture to the face chip that models see: decoding, detection and framing."""
