"""livematte: people cut out of video, without a green screen."""
