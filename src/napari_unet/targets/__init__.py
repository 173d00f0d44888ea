"""What the loss needs, made from labels: classes, weights, ignored pixels."""
