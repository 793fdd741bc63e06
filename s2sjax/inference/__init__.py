"""What a trained model makes of inputs: decoding, scores, evaluation."""
