"""Families of prompts, one file each: conf/prompts names their classes."""
