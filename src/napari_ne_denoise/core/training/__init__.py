"""Train denoising networks: clean images in, simulated noise, a network and its checkpoint out."""
