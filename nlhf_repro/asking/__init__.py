"""How judges are asked: answers kept on disk, and the client of endpoints."""
