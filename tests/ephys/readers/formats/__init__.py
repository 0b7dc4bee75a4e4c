"""Small recordings in the formats of makers, written after their published descriptions and by nothing of ours.

Each module has ``write(folder, data, rate, ...)``: data are int16 of (channels, samples).
"""
