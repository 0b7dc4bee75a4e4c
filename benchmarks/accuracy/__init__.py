"""How well klusta sorts what each de-noiser leaves, on recordings whose spikes are known: ``make bench-accuracy``."""
