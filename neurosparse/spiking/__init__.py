"""Spiking circuits: recipes, and the engines that run them."""
