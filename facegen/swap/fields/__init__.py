"""Small networks that see a face in a square and predict slow fields over it: no feature can be drawn by them."""
