"""What a model is: its taxonomy, how it reads text, its network, its calibration, its bundle and its runtime."""
