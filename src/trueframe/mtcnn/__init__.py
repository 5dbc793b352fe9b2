"""MTCNN's cascade over facenet-pytorch's own weights: the boxes of its stock detector in a fraction of the time."""
